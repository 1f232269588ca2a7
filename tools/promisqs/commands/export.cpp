// SPDX-License-Identifier: Apache-2.0

#include "commands/commands.hpp"
#include "export/http_server.hpp"
#include "export/metrics.hpp"
#include "inspect/queue_watch.hpp"
#include "system/output.hpp"
#include "system/say.hpp"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace promisqs_tool {

namespace {

struct export_options {
    std::vector<std::string> names;
    std::optional<std::string> listen;
};

constexpr const char* details =
    "Prints totals and gauges of queues in Prometheus' text format (0.0.4), once; with --listen it serves them at "
    "/metrics until it is interrupted. Each request looks at the queues anew; queues may come and go.\n"
    "Takes no part in any queue, and changes nothing. When it is killed, nothing is left.\n"
    "Others can see the figures if they can connect. So it listens on 127.0.0.1, unless another address is given; "
    "there is no password.\n"
    "Totals begin at 0 when a queue is created. How long something is held is measured from the first look on, so it "
    "is "
    "0 if there is but one, unless a participant has noted since when it waits.";

exit_code print_once(queue_watch& watch, const std::vector<std::string>& names) {
    watch.look();
    for (const std::string& name : names) {
        // Opening what can't be looked at throws what is to be said. Of all queues, some may go meanwhile.
        const auto found = watch.queues().find(name);
        if (found != watch.queues().end() && !found->second.state) static_cast<void>(promisqs::inspector(name));
    }
    standard_output().write(metrics().text(watch));
    return exit_code::done;
}

exit_code run_server(queue_watch& watch, const listen_address& where) {
    metrics figures;
    const served_page page{"/metrics", std::string(metrics_content_type), [&] {
                               watch.look();
                               return figures.text(watch);
                           }};
    watch.look();  // from here on it knows how long something is held
    serve(where, page, [](const std::string& url) { say("promisqs: the figures are at {}; Ctrl-C ends it\n", url); });
    return exit_code::done;
}

exit_code export_figures(const export_options& wanted) {
    queue_watch watch(wanted.names);
    return wanted.listen ? run_server(watch, parse_listen_address(*wanted.listen)) : print_once(watch, wanted.names);
}

}  // namespace

void add_export(program& all) {
    auto wanted = std::make_shared<export_options>();
    CLI::App& app = all.add(
        {.name = "export",
         .summary = "Give the figures of queues to Prometheus",
         .details = details,
         .examples = {{"promisqs export", "All queues, once: for node_exporter's textfile collector, or to look at"},
                      {"promisqs export --listen :9100", "Serve http://127.0.0.1:9100/metrics"},
                      {"promisqs export orders --listen 0.0.0.0:9100",
                       "Serve one queue's figures to all who can connect"}},
         .run = [wanted] { return export_figures(*wanted); }});
    app.add_option("NAME", wanted->names, std::string(name_help) + "; none: all");
    app.add_option("--listen", wanted->listen, "Serve by HTTP at this address; :PORT is 127.0.0.1:PORT")
        ->type_name("ADDRESS:PORT");
}

}  // namespace promisqs_tool
