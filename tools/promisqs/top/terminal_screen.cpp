// SPDX-License-Identifier: Apache-2.0

#include "top/terminal_screen.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>

namespace promisqs_tool {

namespace {

// The other screen, no cursor, nothing wrapped; and back. The other screen is cleared first: if the size has changed
// meanwhile, tmux may take lines of it along.
constexpr std::string_view take_screen = "\x1b[?1049h\x1b[?25l\x1b[?7l";
constexpr std::string_view give_screen_back = "\x1b[0m\x1b[H\x1b[2J\x1b[?7h\x1b[?25h\x1b[?1049l";

// What signal handlers need. They run at any time, in any thread.
::termios original{};
std::atomic<bool> keys_taken{false};
std::atomic<bool> screen_taken{false};
std::atomic<int> news{-1};  // an eventfd
std::atomic<bool> stop_asked{false};

// Callable in a signal handler.
void give_back() noexcept {
    if (keys_taken.exchange(false)) ::tcsetattr(STDIN_FILENO, TCSANOW, &original);
    if (!screen_taken.exchange(false)) return;
    // A terminal that takes nothing more must not keep the program from ending.
    ::pollfd out{STDOUT_FILENO, POLLOUT, 0};
    constexpr int patience = 500;  // milliseconds
    if (::poll(&out, 1, patience) != 1) return;
    static_cast<void>(!::write(STDOUT_FILENO, give_screen_back.data(), give_screen_back.size()));
}

void take() {
    if (::isatty(STDIN_FILENO) == 1) {
        ::termios keys = original;
        // Keys arrive at once, and are not shown. Ctrl-S does not stop the output: that would hold the program up.
        // Ctrl-C and Ctrl-Z stay signals.
        keys.c_lflag &= ~static_cast<::tcflag_t>(ICANON | ECHO);
        keys.c_iflag &= ~static_cast<::tcflag_t>(IXON);
        keys.c_cc[VMIN] = 0;
        keys.c_cc[VTIME] = 0;
        keys_taken = ::tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
    }
    if (screen_taken.exchange(true)) return;
    standard_output().write(take_screen);
    standard_output().flush();
}

void tell() noexcept {
    const int before = errno;
    const std::uint64_t one = 1;
    static_cast<void>(!::write(news, &one, sizeof one));
    errno = before;
}

constexpr std::array fatal{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

extern "C" void on_news(int /*signal*/) { tell(); }
extern "C" void on_stop(int /*signal*/) {
    stop_asked = true;
    tell();
}
// The handler is gone by now (SA_RESETHAND), so the signal then does what it does by default.
extern "C" void on_fatal(int signal) {
    give_back();
    ::raise(signal);
}

// A signal that was ignored when the program began stays so.
void handle(int signal, void (*handler)(int), int flags) {
    struct ::sigaction wanted {};
    if (::sigaction(signal, nullptr, &wanted) != 0 || wanted.sa_handler == SIG_IGN) return;
    wanted = {};
    wanted.sa_handler = handler;
    wanted.sa_flags = flags;
    ::sigaction(signal, &wanted, nullptr);
}

void handle_all() {
    handle(SIGWINCH, &on_news, SA_RESTART);
    handle(SIGCONT, &on_news, SA_RESTART);
    handle(SIGTSTP, &on_stop, SA_RESTART);
    // Of SIGINT, SIGTERM and SIGHUP only the second one gets here: the first requests a stop.
    for (const int one : fatal) handle(one, &on_fatal, static_cast<int>(SA_RESETHAND));
}

void handle_none() {
    for (const int one : {SIGWINCH, SIGCONT, SIGTSTP}) handle(one, SIG_DFL, 0);
    for (const int one : fatal) handle(one, SIG_DFL, 0);
}

}  // namespace

terminal_screen::terminal_screen() {
    if (::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &original) != 0) {
        throw failure(exit_code::broken, "the terminal does not say how it is set");
    }
    news = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (news < 0) throw failure(exit_code::broken, "there is no descriptor left");
    handle_all();
    try {
        take();
    } catch (...) {
        give_back();
        handle_none();
        throw;
    }
    measure();
}

terminal_screen::~terminal_screen() {
    give_back();
    handle_none();
    ::close(news.exchange(-1));
}

void terminal_screen::measure() {
    ::winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        columns_ = size.ws_col;
        rows_ = size.ws_row;
    }
    shown_.clear();  // the terminal may have moved, cut or wrapped all lines
}

void terminal_screen::show(const std::vector<std::string>& lines) {
    output& out = standard_output();
    if (shown_.empty()) out.write("\x1b[H\x1b[2J");
    for (std::size_t i = 0; i < rows_; ++i) {
        const std::string_view line = i < lines.size() ? std::string_view(lines[i]) : std::string_view();
        const std::string_view before = i < shown_.size() ? std::string_view(shown_[i]) : std::string_view();
        // Cleared first: behind a line that fills the screen, the cursor is still on its last character.
        if (line != before) out.print("\x1b[{};1H\x1b[2K{}\x1b[0m", i + 1, line);
    }
    out.flush();
    shown_ = lines;
}

// Not by SIGSTOP: where nobody could let it go on, because it has no shell above it, the system ignores SIGTSTP.
void terminal_screen::stop_and_go_on() {
    give_back();
    handle(SIGTSTP, SIG_DFL, 0);
    ::raise(SIGTSTP);
    handle(SIGTSTP, &on_stop, SA_RESTART);
}

screen_event terminal_screen::wait(int milliseconds) {
    const bool has_keys = ::isatty(STDIN_FILENO) == 1;
    std::array<::pollfd, 3> all{
        {{interruption_descriptor(), POLLIN, 0}, {news, POLLIN, 0}, {has_keys ? STDIN_FILENO : -1, POLLIN, 0}}};
    if (::poll(all.data(), all.size(), milliseconds) <= 0) return screen_event::time_is_over;
    if (all[0].revents != 0) return screen_event::interrupted;
    if (all[1].revents != 0) {
        std::uint64_t count = 0;
        static_cast<void>(!::read(news, &count, sizeof count));
        if (stop_asked.exchange(false)) stop_and_go_on();
        // Also after SIGSTOP, which could not be caught: the shell has set the terminal as it wants it.
        take();
        measure();
        return screen_event::resized;
    }
    std::array<char, 256> some{};
    const auto size = ::read(STDIN_FILENO, some.data(), some.size());
    if (size == 0 || (size < 0 && errno != EINTR)) return screen_event::interrupted;  // the terminal has gone
    typed_.append(some.data(), static_cast<std::size_t>(std::max<::ssize_t>(size, 0)));
    return screen_event::key;
}

key terminal_screen::next_key(char& character) {
    static constexpr std::array<std::pair<std::string_view, key>, 6> sequences{{{"\x1b[A", key::up},
                                                                                {"\x1bOA", key::up},
                                                                                {"\x1b[B", key::down},
                                                                                {"\x1bOB", key::down},
                                                                                {"\x1b[5~", key::page_up},
                                                                                {"\x1b[6~", key::page_down}}};
    while (!typed_.empty()) {
        for (const auto& [sequence, meaning] : sequences) {
            if (!typed_.starts_with(sequence)) continue;
            typed_.erase(0, sequence.size());
            return meaning;
        }
        character = typed_.front();
        typed_.erase(0, 1);
        if (character == '\x1b') {
            typed_.clear();  // a key without a meaning here
        } else {
            return key::character;
        }
    }
    return key::none;
}

}  // namespace promisqs_tool
