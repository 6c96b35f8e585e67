// SPDX-License-Identifier: GPL-2.0-only

#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_tuple.h>
#include <net/netfilter/nf_conntrack_zones.h>

#include "helpers.h"

struct nf_conn *
nft_offload_helper_ct_find(struct net *net,
			   const struct nf_conntrack_tuple *tuple, u8 *dir)
{
	struct nf_conntrack_tuple_hash *h;

	h = nf_conntrack_find_get(net, &nf_ct_zone_dflt, tuple);
	if (!h)
		return NULL;

	*dir = NF_CT_DIRECTION(h);
	return nf_ct_tuplehash_to_ctrack(h);
}

void nft_offload_helper_ct_put(struct nf_conn *ct)
{
	nf_ct_put(ct);
}

bool nft_offload_helper_ct_offloaded(const struct nf_conn *ct)
{
	return test_bit(IPS_OFFLOAD_BIT, &ct->status);
}
