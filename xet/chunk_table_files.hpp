#pragma once
// The directory of a chunk table: which of its files are in use.

#include "xet/chunk_run.hpp"

namespace xet {

using run_list = std::vector<std::shared_ptr<chunk_run>>;  // oldest first, their ranges without gap from 0 on

// The runs to use: the largest ones that can be read and that join to a range from 0 on. Not used are runs that are damaged, of another
// index, within a larger one, that know containers from next_container on, or lack a living one. Errors: io (directory or file cannot be opened).
result<run_list> load_runs(file_layer& files, std::filesystem::path const& dir, chunk_table_index const& index, container_set const& alive);

// Removes every other file, durably. Errors: io.
result<> remove_all_but(file_layer& files, std::filesystem::path const& dir, run_list const& kept);

} // namespace xet
