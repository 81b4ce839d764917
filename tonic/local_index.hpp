#pragma once
// What is in a folder's files on this disk: per file its stamp and chunks, and for every chunk where it lies. Kept in
// memory, persistent in one SQLite file; losing that file loses no data (the next scan reads the files again).
//
// Thread rule: any thread; one mutex inside. Pointers from find() stay valid until the next apply().

#include "tonic/scan.hpp"

#include <mutex>
#include <unordered_map>

namespace tonic {

class local_index
{
public:
	// A file that is no usable database is moved away and a new one begun; note says so.
	static xet::result<std::unique_ptr<local_index>> open(std::filesystem::path const& database, std::string* note = nullptr);
	~local_index();

	local_file const* find(std::string_view path) const;
	std::vector<std::shared_ptr<local_file const>> all() const;
	std::size_t size() const;

	// Durable (one transaction) before it returns. Errors: io.
	xet::result<> apply(std::vector<local_file> changed, std::vector<std::string> const& removed);

	struct place
	{
		std::shared_ptr<local_file const> file;
		std::uint64_t offset = 0;
		std::uint32_t size = 0;
	};
	// Where the chunk should be, most recent first; verify what is read, files change.
	std::vector<place> locate(xet::hash32 const& h) const;

private:
	struct database;
	struct chunk_place { local_file const* file; std::uint64_t offset; std::uint32_t size; };

	local_index();
	void insert(local_file file);
	void erase(std::string_view path);

	mutable std::mutex m_mutex;
	std::unique_ptr<database> m_database;
	std::unordered_map<std::string_view, std::shared_ptr<local_file const>> m_files;  // keys point into the files
	std::unordered_multimap<xet::hash32, chunk_place> m_places;
};

} // namespace tonic
