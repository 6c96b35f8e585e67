// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flows of nf_flowtable while a command for them runs: the core does not end a
 * flow whose command is pending. The cookie of the command is the address of
 * the tuple of one direction.
 */

#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <net/dst.h>
#include <net/flow.h>
#include <net/ip6_route.h>
#include <net/neighbour.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_flow_table.h>
#include <net/route.h>

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

/* The route to where packets of @tuple go, NULL if there is none. */
static struct dst_entry *route_of(struct net *net,
				  const struct flow_offload_tuple *tuple,
				  const struct flow_offload_tuple *reverse)
{
	struct dst_entry *dst;

	if (tuple->l3proto == AF_INET6) {
		struct flowi6 fl6 = { .daddr = reverse->src_v6 };

		dst = ip6_route_output(net, NULL, &fl6);
	} else {
		struct flowi4 fl4 = { .daddr = reverse->src_v4.s_addr };
		struct rtable *rt = ip_route_output_key(net, &fl4);

		if (IS_ERR(rt))
			return NULL;
		dst = &rt->dst;
	}
	if (!dst->error)
		return dst;
	dst_release(dst);
	return NULL;
}

/*
 * Whether @neigh may be where packets of @tuple go. One with another address
 * is that of another route, such as policy routing has.
 */
static bool is_neighbour_of(struct neighbour *neigh,
			    const struct flow_offload_tuple *tuple)
{
	unsigned char mac[MAX_ADDR_LEN];

	if (neigh->dev->addr_len != ETH_ALEN)
		return false;
	if (!(READ_ONCE(neigh->nud_state) & NUD_VALID))
		return true;
	neigh_ha_snapshot(mac, neigh, neigh->dev);
	return ether_addr_equal_unaligned(mac, tuple->out.h_dest);
}

/*
 * Hardware sent packets of @tuple: does to the neighbour what sending one by
 * software does. So a stale one is asked whether it is still there.
 */
void nft_offload_helper_flow_use_neigh(const struct flow_offload_tuple *tuple)
{
	const struct flow_offload *flow = flow_of(tuple);
	const struct flow_offload_tuple *reverse =
		&flow->tuplehash[!tuple->dir].tuple;
	struct neighbour *neigh;
	struct dst_entry *dst;

	if (tuple->xmit_type != FLOW_OFFLOAD_XMIT_DIRECT)
		return;

	dst = route_of(nf_ct_net(flow->ct), tuple, reverse);
	if (!dst)
		return;
	if (!(dst->dev->flags & (IFF_LOOPBACK | IFF_NOARP))) {
		neigh = dst_neigh_lookup(dst, &reverse->src_v6);
		if (neigh) {
			if (is_neighbour_of(neigh, tuple))
				neigh_event_send(neigh, NULL);
			neigh_release(neigh);
		}
	}
	dst_release(dst);
}
