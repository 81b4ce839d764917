// xet: the command line of ut_xet.

#include "tools/common/terminal.hpp"
#include "tools/xet/commands.hpp"

#include <csignal>
#include <iostream>

int main(int argc, char** argv)
{
	std::signal(SIGPIPE, SIG_IGN);
	tools::shell s;
	s.data = tools::default_data_dir();
	CLI::App app("xet: share folders, join them, and see how they are (the node itself is xetd, or a client with ut_xet loaded)");
	app.footer("Examples:\n"
		"  xet --data ~/node share ~/photos          share a folder; prints its links\n"
		"  xet --data ~/node join LINK ~/shared --wait\n"
		"  xet --data ~/node status\n"
		"  xet chunk --json FILE                     how a file is cut, no node needed\n"
		"Exit status: 0 ok, 1 failed, 2 usage, 3 partly done.");
	app.add_option("--data", s.data, "the node's data directory")->capture_default_str();
	app.require_subcommand(1);
	app.fallthrough();
	tools::add_node_commands(app, s);
	tools::add_store_commands(app, s);
	tools::add_file_commands(app, s);
	tools::add_container_commands(app, s);
	try
	{
		app.parse(argc, argv);
	}
	catch (CLI::ParseError const& e)
	{
		return app.exit(e) == 0 ? tools::ok : tools::usage;
	}
	try
	{
		return s.chosen();
	}
	catch (std::exception const& e)
	{
		return tools::complain("xet", e.what());
	}
}
