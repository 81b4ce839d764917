#pragma once
// Prints what a shard says on standard output: for people, or as JSON lines.

#include "xet/hf_shard.hpp"
#include "xet/shard.hpp"

namespace tools {

void print_shard(xet::sealed_shard const& s, bool as_json);
// verified: nothing that hashes can tell speaks against it
void print_shard(xet::hf_shard const& s, bool verified, bool as_json);

} // namespace tools
