#include "tonic/watch.hpp"

#include "tonic/path_rules.hpp"
#include "tonic/watch_tree.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <fstream>
#include <optional>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <thread>

namespace tonic {

namespace {

using clock = std::chrono::steady_clock;

constexpr char const* watch_limit_file = "/proc/sys/fs/inotify/max_user_watches";
constexpr char const* instance_limit_file = "/proc/sys/fs/inotify/max_user_instances";

std::uint64_t read_limit(char const* file)
{
	std::uint64_t ret = 0;
	std::ifstream(file) >> ret;
	return ret;
}

// When the callback is due: settle after the last event, but at most at_most after the first.
class debouncer
{
public:
	explicit debouncer(watch_options const& o) : m_options(o) {}

	void event(clock::time_point now)
	{
		if (!m_first) m_first = now;
		m_last = now;
	}
	std::optional<clock::time_point> due() const
	{
		if (!m_first) return std::nullopt;
		return std::min(m_last + m_options.settle, *m_first + m_options.at_most);
	}
	void reset() { m_first.reset(); }

private:
	watch_options m_options;
	std::optional<clock::time_point> m_first;
	clock::time_point m_last;
};

class inotify_watcher final : public watcher
{
public:
	inotify_watcher(file_descriptor inotify, file_descriptor stop, std::string root, watch_options const& options
		, std::function<void()> on_change, std::function<void(std::string)> on_problem)
		: m_inotify(std::move(inotify)), m_stop(std::move(stop)), m_tree(m_inotify.get(), std::move(root)), m_debounce(options)
		, m_on_change(std::move(on_change)), m_on_problem(std::move(on_problem)) {}

	~inotify_watcher() override
	{
		if (!m_thread.joinable()) return;
		std::uint64_t const one = 1;
		(void)!::write(m_stop.get(), &one, sizeof one);
		m_thread.join();
	}

	// All watches are in place when this returns: no change after it is missed.
	bool start()
	{
		if (!m_tree.rebuild()) return false;
		m_thread = std::thread([this] { run(); });
		return true;
	}

private:
	void run();
	bool wait();  // false: stop
	void read_events();
	void handle(inotify_event const& e);
	void report_limit();

	file_descriptor m_inotify;
	file_descriptor m_stop;  // an eventfd
	watch_tree m_tree;
	debouncer m_debounce;
	bool m_limit_reported = false;
	std::function<void()> m_on_change;
	std::function<void(std::string)> m_on_problem;
	std::thread m_thread;
};

void inotify_watcher::run()
{
	report_limit();
	while (wait())
	{
		read_events();
		report_limit();
		auto const due = m_debounce.due();
		if (!due || clock::now() < *due) continue;
		m_debounce.reset();
		m_on_change();
	}
}

bool inotify_watcher::wait()
{
	std::array<pollfd, 2> fds{{{m_inotify.get(), POLLIN, 0}, {m_stop.get(), POLLIN, 0}}};
	int timeout_milliseconds = -1;
	if (auto const due = m_debounce.due())
	{
		// rounded up: waking just before it is due would spin
		auto const left = std::chrono::ceil<std::chrono::milliseconds>(*due - clock::now()).count();
		timeout_milliseconds = int(std::clamp<std::int64_t>(left, 0, 60'000));
	}
	::poll(fds.data(), fds.size(), timeout_milliseconds);
	return fds[1].revents == 0;
}

void inotify_watcher::read_events()
{
	alignas(inotify_event) std::array<char, 64 * 1024> buffer;
	auto const n = ::read(m_inotify.get(), buffer.data(), buffer.size());
	for (ssize_t at = 0; at + ssize_t(sizeof(inotify_event)) <= n;)
	{
		auto const& e = *reinterpret_cast<inotify_event const*>(buffer.data() + at);
		handle(e);
		at += ssize_t(sizeof(inotify_event) + e.len);
	}
}

void inotify_watcher::handle(inotify_event const& e)
{
	if (e.mask & IN_IGNORED) return m_tree.forget(e.wd);
	if (e.mask & IN_Q_OVERFLOW)
	{
		// events were lost, among them perhaps those of new directories
		m_tree.rebuild();
		return m_debounce.event(clock::now());
	}
	std::string const name = e.len > 0 ? e.name : "";
	if (m_tree.is_root(e.wd) && name == private_dir) return;
	if (e.mask & IN_ISDIR && !name.empty())
	{
		if (e.mask & (IN_MOVED_FROM | IN_DELETE)) m_tree.remove(e.wd, name);
		// IN_ATTRIB: it may just have become readable
		if (e.mask & (IN_CREATE | IN_MOVED_TO | IN_ATTRIB)) m_tree.add(e.wd, name);
	}
	m_debounce.event(clock::now());
}

void inotify_watcher::report_limit()
{
	if (!m_tree.take_limit_reached() || m_limit_reported) return;
	m_limit_reported = true;
	if (m_on_problem) m_on_problem(watch_limit_advice(read_limit(watch_limit_file)));
}

} // namespace

std::string watch_limit_advice(std::uint64_t current_limit)
{
	// the kernel's own default on machines with much memory
	constexpr std::uint64_t ample = 1'048'576;
	auto const wanted = std::max(ample, std::bit_ceil(current_limit + 1) * 2);
	return xet::cat("cannot watch all directories: fs.inotify.max_user_watches is ", current_limit
		, " and all of them are in use; changes elsewhere are found by the next periodic scan. To raise it: sysctl "
		"fs.inotify.max_user_watches=", wanted);
}

xet::result<std::unique_ptr<watcher>> watcher::start(std::filesystem::path const& root, watch_options const& options
	, std::function<void()> on_change, std::function<void(std::string)> on_problem)
{
	file_descriptor inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	if (!inotify && errno == EMFILE)
	{
		auto const current = read_limit(instance_limit_file);
		return xet::fail(xet::errc::limit, "cannot watch ", root.native(), ": no inotify instance is free (fs.inotify.max_user_instances is "
			, current, "), or too many files are open. To raise it: sysctl fs.inotify.max_user_instances=", std::max<std::uint64_t>(1024, current * 2));
	}
	if (!inotify) return system_failure("cannot watch ", root.native());
	file_descriptor stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (!stop) return system_failure("cannot watch ", root.native());

	auto ret = std::make_unique<inotify_watcher>(std::move(inotify), std::move(stop), root.native(), options
		, std::move(on_change), std::move(on_problem));
	if (!ret->start()) return system_failure("cannot watch ", root.native());
	return ret;
}

} // namespace tonic
