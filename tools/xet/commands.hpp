#pragma once
// The commands of xet, a family a file. Each adds its subcommands; the chosen one's code is run by main.

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <filesystem>
#include <functional>

namespace tools {

struct shell
{
	std::filesystem::path data;       // --data
	std::function<int()> chosen;      // set by the subcommand that was given
};

void add_node_commands(CLI::App& app, shell& s);  // share, join, leave, status, stats, rescan: ask a running node
void add_store_commands(CLI::App& app, shell& s); // store, cleanup, versions, restore: a running node or its data directory
void add_file_commands(CLI::App& app, shell& s);  // chunk, verify: need no node
void add_container_commands(CLI::App& app, shell& s);  // xorb, shard, merkle: need no node
void add_xorb_commands(CLI::App& app, shell& s);
void add_shard_commands(CLI::App& app, shell& s);

} // namespace tools
