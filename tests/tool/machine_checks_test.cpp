// SPDX-License-Identifier: Apache-2.0

// What the doctor reads in the settings of systemd.

#include "doctor/findings.hpp"
#include "support/catch.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace {

/// Two folders of settings, of which the first has precedence.
class settings {
public:
    settings() { std::filesystem::create_directories(root_); }
    settings(const settings&) = delete;
    settings& operator=(const settings&) = delete;
    ~settings() { std::filesystem::remove_all(root_); }

    void write(const std::string& file, const std::string& text) const {
        const auto path = root_ / file;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
    [[nodiscard]] bool removes() const {
        return promisqs_tool::removes_ipc({(root_ / "first").string(), (root_ / "second").string()});
    }

private:
    std::filesystem::path root_ =
        std::filesystem::temp_directory_path() / ("promisqs-test-" + std::to_string(::getpid()));
};

}  // namespace

TEST_CASE("systemd removes queues unless it is told not to") {
    const settings here;
    CHECK(here.removes());
    here.write("second/logind.conf", "[Login]\n#RemoveIPC=no\n");
    CHECK(here.removes());
    here.write("second/logind.conf", "[Login]\n RemoveIPC = no\n");
    CHECK_FALSE(here.removes());
}

TEST_CASE("of systemd's settings the last one counts, and those of the first folder hide others of their name") {
    const settings here;
    here.write("first/logind.conf", "RemoveIPC=no\n");
    here.write("second/logind.conf", "RemoveIPC=yes\n");
    CHECK_FALSE(here.removes());
    here.write("second/logind.conf.d/20-b.conf", "RemoveIPC=yes\n");
    CHECK(here.removes());
    here.write("first/logind.conf.d/20-b.conf", "\n");
    CHECK_FALSE(here.removes());
    here.write("first/logind.conf.d/10-a.conf", "RemoveIPC=true\n");
    CHECK(here.removes());
}
