#include "plugin/node_store.hpp"

#include "tonic/folder_fs.hpp"
#include "tonic/local_index.hpp"
#include "tonic/tonic_file.hpp"

#include <fcntl.h>
#include <mutex>

namespace ut_xet {

namespace {

// The files of a folder no node looks after at the moment.
class files_at_rest : public xet::chunk_source
{
public:
	files_at_rest(tonic::folder_fs fs, std::unique_ptr<tonic::local_index> index, xet::hash_kind kind)
		: m_fs(std::move(fs)), m_index(std::move(index)), m_kind(kind)
	{}

	bool may_have(xet::hash_kind kind, xet::hash32 const& hash) const override { return kind == m_kind && !m_index->locate(hash).empty(); }
	std::optional<xet::bytes> read(xet::hash_kind kind, xet::hash32 const& hash) const override
	{
		for (auto const& place : m_index->locate(hash))
		{
			auto const fd = m_fs.open_file(place.file->path, O_RDONLY | O_NONBLOCK);
			xet::bytes data(place.size);
			if (fd && tonic::read_at(fd->get(), place.offset, data) && xet::chunk_hash(kind, data) == hash) return data;
		}
		return std::nullopt;
	}

private:
	tonic::folder_fs m_fs;
	std::unique_ptr<tonic::local_index> m_index;
	xet::hash_kind m_kind;
};

} // namespace

std::filesystem::path store_dir(std::filesystem::path const& data_dir, config const& how)
{
	return how.xet_chunk_store_path.empty() ? data_dir / "store" : data_dir / how.xet_chunk_store_path;
}

xet::result<std::unique_ptr<node_store>> node_store::open(std::filesystem::path const& data_dir, config const& how, std::string& note)
{
	xet::store_options o;
	o.quota_bytes = std::uint64_t(how.xet_store_quota);
	o.reserve_bytes = std::uint64_t(how.xet_store_reserve);
	o.compress = how.xet_compression_enabled ? xet::compression::lz4 : xet::compression::none;
	auto chunks = xet::chunk_store::open(xet::system_files(), store_dir(data_dir, how), o, &note);
	if (!chunks) return tl::unexpected(chunks.error());
	std::unique_ptr<node_store> s(new node_store(data_dir, how, std::move(*chunks)));
	if (auto const restored = s->m_added.restore(note); !restored) return tl::unexpected(restored.error());
	if (auto const restored = s->restore_holders(); !restored) return tl::unexpected(restored.error());
	return s;
}

std::vector<node_store::place> node_store::folders() const
{
	std::vector<place> out;
	std::error_code ec;
	for (auto const& entry : std::filesystem::directory_iterator(m_data_dir / "folders", ec))
		if (auto record = load_record(entry.path() / "folder.json")) out.push_back({std::move(*record), entry.path()});
	std::sort(out.begin(), out.end(), [](place const& a, place const& b) { return a.state_dir < b.state_dir; });
	return out;
}

void node_store::read_folders()
{
	for (place const& p : folders())
	{
		auto const kind = xet::kind_from_name(p.record.profile);
		auto fs = tonic::folder_fs::open(p.record.path);
		std::error_code ec;
		if (!kind || !fs || !std::filesystem::exists(p.state_dir / "index.db", ec)) continue;
		auto index = tonic::local_index::open(p.state_dir / "index.db");
		if (index) m_chunks->add_source(std::make_shared<files_at_rest>(std::move(*fs), std::move(*index), *kind));
	}
}

xet::result<bool> node_store::expire(tonic::history const& kept, tonic::manifest const* current)
{
	std::lock_guard const lock(m_holding);
	if (!kept.expire(policy(), m_chunks->now())) return false;
	if (auto const held = kept.hold(*m_chunks, current); !held) return tl::unexpected(held.error());
	return true;
}

xet::result<> node_store::restore_holders()
{
	std::lock_guard const lock(m_holding);
	auto const holders = m_chunks->holders();
	if (!holders) return tl::unexpected(holders.error());
	std::set<std::string> held, present;
	for (auto const& h : *holders) held.insert(h.name);
	for (place const& p : folders())
	{
		auto const kept = p.kept();
		present.insert(kept.holder());
		if (held.contains(kept.holder())) continue;
		auto const current = tonic::read_tonic(p.tonic());
		if (!current && current.error().code == xet::errc::io) return tl::unexpected(current.error());
		if (auto const done = kept.hold(*m_chunks, current ? &*current : nullptr); !done) return done;
	}
	// a folder that was left while nobody was looking; one whose record cannot be read is still there
	for (std::string const& name : held)
	{
		std::error_code ec;
		if (!name.starts_with("folder:") || present.contains(name)) continue;
		bool const there = std::filesystem::exists(m_data_dir / "folders" / name.substr(7), ec);
		if (there || ec) continue;
		if (auto const done = m_chunks->release(name); !done) return done;
	}
	return {};
}

} // namespace ut_xet
