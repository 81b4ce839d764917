#include "tonic/history.hpp"

#include "tonic/file_io.hpp"
#include "tonic/tonic_file.hpp"

#include <algorithm>
#include <charconv>
#include <fcntl.h>
#include <sys/stat.h>

namespace tonic {

namespace {

constexpr std::int64_t seconds_per_day = 24 * 3600;
constexpr std::string_view suffix = ".tonic";

std::optional<std::uint64_t> seq_of(std::string const& name)
{
	std::uint64_t seq = 0;
	auto const* const end = name.data() + name.size() - std::min(name.size(), suffix.size());
	auto const [rest, bad] = std::from_chars(name.data(), end, seq);
	if (!name.ends_with(suffix) || bad != std::errc() || rest != end) return std::nullopt;
	return seq;
}

} // namespace

std::vector<kept_version> history::list() const
{
	std::vector<kept_version> out;
	std::error_code ec;
	for (auto const& entry : std::filesystem::directory_iterator(m_dir, ec))
	{
		auto const seq = seq_of(entry.path().filename().native());
		struct ::stat st{};
		// when the name was made here, that is when the version was replaced
		if (seq && ::stat(entry.path().c_str(), &st) == 0) out.push_back({*seq, st.st_ctim.tv_sec, entry.path()});
	}
	std::sort(out.begin(), out.end(), [](auto const& a, auto const& b) { return a.seq > b.seq; });
	return out;
}

xet::result<> history::remember(std::uint64_t seq, std::filesystem::path const& tonic_file) const
{
	std::error_code ec;
	std::filesystem::create_directories(m_dir, ec);
	auto const kept = m_dir / xet::cat(seq, suffix);
	// the file is replaced as a whole by the next version: its old content stays under this name
	if (::link(tonic_file.c_str(), kept.c_str()) == 0 || errno == EEXIST) return {};
	auto const data = read_whole_file(tonic_file, xet::max_metadata_bytes);
	if (!data) return tl::unexpected(data.error());
	return write_file_atomically(kept, *data);
}

bool history::expire(keep_policy const& policy, std::int64_t now_seconds) const
{
	bool dropped = false;
	std::uint32_t count = 0;
	for (kept_version const& v : list())
	{
		bool const old = policy.days != 0 && v.replaced_at + policy.days * seconds_per_day < now_seconds;
		if (++count <= policy.versions && !old) continue;
		std::error_code ec;
		dropped |= std::filesystem::remove(v.file, ec);
	}
	return dropped;
}

xet::result<> history::hold(xet::chunk_store& store, manifest const* current) const
{
	std::uint64_t logical = 0;
	std::vector<xet::hash32> all;
	std::optional<xet::hash_kind> kind;
	auto const add = [&](manifest const& m) {
		kind = m.how.kind;
		for (xet::chunk_ref const& c : m.chunks) all.push_back(c.hash);
	};
	for (kept_version const& v : list())
	{
		auto const m = read_tonic(v.file);
		// what is damaged is of no use any more, and expires; what cannot be read now may be another time
		auto const damaged = [](xet::errc c) { return c == xet::errc::invalid || c == xet::errc::unsupported || c == xet::errc::mismatch || c == xet::errc::not_found; };
		if (!m && !damaged(m.error().code)) return tl::unexpected(m.error());
		if (!m) continue;
		add(*m);
		logical += m->total_bytes();
	}
	if (current != nullptr) add(*current);
	if (!kind) return store.release(m_holder);
	std::sort(all.begin(), all.end());
	all.erase(std::unique(all.begin(), all.end()), all.end());
	return store.hold_only(m_holder, logical, *kind, all, xet::chunk_store::others::may_lie_elsewhere);
}

std::vector<file_entry const*> replaced_files(manifest const& before, manifest const& after)
{
	std::vector<file_entry const*> out;
	auto a = after.files.begin();
	for (file_entry const& b : before.files)
	{
		while (a != after.files.end() && a->path < b.path) ++a;
		bool const same = a != after.files.end() && a->path == b.path && a->hash == b.hash && a->size == b.size;
		if (!same) out.push_back(&b);
	}
	return out;
}

std::vector<xet::chunk_ref> chunks_not_in(manifest const& before, std::vector<file_entry const*> const& what, manifest const& after)
{
	std::vector<xet::chunk_ref> out;
	for (file_entry const* f : what)
	{
		auto const chunks = before.chunks_of(*f);
		out.insert(out.end(), chunks.begin(), chunks.end());
	}
	std::sort(out.begin(), out.end());
	out.erase(std::unique(out.begin(), out.end()), out.end());
	std::vector<bool> here(out.size());
	for (xet::chunk_ref const& c : after.chunks)
	{
		auto const i = std::lower_bound(out.begin(), out.end(), c);
		if (i != out.end() && *i == c) here[std::size_t(i - out.begin())] = true;
	}
	std::size_t n = 0;
	for (std::size_t i = 0; i < out.size(); ++i)
		if (!here[i]) out[n++] = out[i];
	out.resize(n);
	return out;
}

} // namespace tonic
