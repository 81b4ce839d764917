#pragma once
// What every part of a node shares: its threads, counters, log and paths. Lives as long as the node.

#include "plugin/counters.hpp"
#include "plugin/log.hpp"
#include "plugin/slab.hpp"
#include "tonic/identity.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <filesystem>

namespace ut_xet {

class node_store;

struct context
{
	context(boost::asio::io_context& network_context, logger::sink sink, unsigned worker_count)
		: network(network_context), log(std::move(sink)), workers(worker_count), jobs(3)
	{}

	// Around everything of ours that runs on the network thread: how long it took is counted.
	class network_turn
	{
	public:
		explicit network_turn(context& c) : m_context(c) {}
		~network_turn() { m_context.count.network_thread.add(std::chrono::steady_clock::now() - m_since); }
		network_turn(network_turn const&) = delete;
		network_turn& operator=(network_turn const&) = delete;

	private:
		context& m_context;
		std::chrono::steady_clock::time_point const m_since = std::chrono::steady_clock::now();
	};

	// Runs f on the network thread. Handles throw when the host has removed their torrent: that ends f, and nothing else.
	template <class F>
	void on_network(F f)
	{
		boost::asio::post(network, [this, f = std::move(f)]() mutable {
			network_turn const turn(*this);
			try
			{
				f();
			}
			catch (std::exception const& e)
			{
				log.warning("on the network thread: ", e.what());
			}
		});
	}

	boost::asio::io_context& network;  // libtorrent's: what runs there must neither block nor hash nor touch the disk
	logger log;
	counters count;
	slab_pool slabs;
	boost::asio::thread_pool workers;  // short tasks: read and verify a chunk, verify and write a chunk
	boost::asio::thread_pool jobs;     // long tasks, one strand a folder: scan, plan, publish
	std::filesystem::path data_dir;
	std::optional<tonic::key_pair> identity;
	std::shared_ptr<node_store> store;  // null when it cannot be used: then nothing old is kept
};

} // namespace ut_xet
