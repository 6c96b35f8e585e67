// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flows of nf_flowtable while a command for them runs: the core does not end a
 * flow whose command is pending. The cookie of the command is the address of
 * the tuple of one direction.
 */

#include <net/netfilter/nf_flow_table.h>

#include "helpers.h"

static const struct flow_offload *
flow_of(const struct flow_offload_tuple *tuple)
{
	return container_of(tuple, struct flow_offload,
			    tuplehash[tuple->dir].tuple);
}

struct nf_conn *
nft_offload_helper_flow_ct(const struct flow_offload_tuple *tuple, u8 *dir)
{
	*dir = tuple->dir;
	return flow_of(tuple)->ct;
}
