// SPDX-License-Identifier: GPL-2.0-only

#include <linux/bottom_half.h>
#include <linux/jiffies.h>
#include <linux/rcupdate.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_ecache.h>
#include <net/netfilter/nf_conntrack_l4proto.h>
#include <net/netfilter/nf_conntrack_timeout.h>
#include <net/netfilter/nf_conntrack_tuple.h>
#include <net/netfilter/nf_conntrack_zones.h>

#include "helpers.h"

/* The zone of a connection as a number: its id, and the directions it is of. */
u32 nft_offload_helper_ct_zone(const struct nf_conn *ct)
{
	const struct nf_conntrack_zone *zone = nf_ct_zone(ct);

	return zone->id | zone->dir << 16;
}

struct nf_conn *
nft_offload_helper_ct_find(struct net *net, u32 zone_number,
			   const struct nf_conntrack_tuple *tuple, u8 *dir)
{
	struct nf_conntrack_tuple_hash *h;
	struct nf_conntrack_zone zone;

	nf_ct_zone_init(&zone, zone_number, zone_number >> 16, 0);
	h = nf_conntrack_find_get(net, &zone, tuple);
	if (!h)
		return NULL;

	*dir = NF_CT_DIRECTION(h);
	return nf_ct_tuplehash_to_ctrack(h);
}

void nft_offload_helper_ct_put(struct nf_conn *ct)
{
	nf_ct_put(ct);
}

/* Whether a packet at @last makes a connection that has a reply assured. */
static bool is_assured_by(const struct nf_conn *ct, unsigned long last)
{
	if (test_bit(IPS_NAT_CLASH_BIT, &ct->status))
		return false;

	switch (nf_ct_protonum(ct)) {
	case IPPROTO_TCP:
		return READ_ONCE(ct->proto.tcp.state) == TCP_CONNTRACK_ESTABLISHED;
	case IPPROTO_UDP:
		return time_after(last, ct->proto.udp.stream_ts);
	default:
		return false;
	}
}

/*
 * The flow has left its flowtable, and conntrack began to wait for the next
 * packet of UDP without knowing of the first reply, which was at @last.
 */
static void extend_udp_timeout(struct nf_conn *ct, unsigned long last)
{
	const unsigned int *timeouts;
	enum udp_conntrack state;
	s32 left;

	if (nf_ct_protonum(ct) != IPPROTO_UDP ||
	    test_bit(IPS_OFFLOAD_BIT, &ct->status))
		return;

	state = time_after(last, ct->proto.udp.stream_ts) ? UDP_CT_REPLIED :
							    UDP_CT_UNREPLIED;
	rcu_read_lock();
	timeouts = nf_ct_timeout_lookup(ct);
	if (!timeouts)
		timeouts = nf_udp_pernet(nf_ct_net(ct))->timeouts;
	left = timeouts[state] - (u32)(jiffies - last);
	rcu_read_unlock();

	if (left > (s32)(READ_ONCE(ct->timeout) - nfct_time_stamp))
		nf_ct_refresh(ct, left);
}

/*
 * Packets of @ct passed in direction @dir that only hardware saw, the last of
 * them at @last: one, or @several. Sets what conntrack would have set.
 */
void nft_offload_helper_ct_seen(struct nf_conn *ct, u8 dir, bool several,
				u64 last)
{
	bool replied;

	if (likely(test_bit(IPS_ASSURED_BIT, &ct->status)))
		return;

	replied = test_bit(IPS_SEEN_REPLY_BIT, &ct->status);
	if (!replied && dir != IP_CT_DIR_REPLY)
		return;

	if (!replied && !test_and_set_bit(IPS_SEEN_REPLY_BIT, &ct->status)) {
		nf_conntrack_event_cache(IPCT_REPLY, ct);
		extend_udp_timeout(ct, last);
	}
	/* The first reply itself is not followed by any packet yet. */
	if ((replied || several) && is_assured_by(ct, last) &&
	    !test_and_set_bit(IPS_ASSURED_BIT, &ct->status))
		nf_conntrack_event_cache(IPCT_ASSURED, ct);

	local_bh_disable();
	nf_ct_deliver_cached_events(ct);
	local_bh_enable();
}
