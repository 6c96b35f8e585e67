// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether the kernel would choose the path now that a flowtable keeps for a
 * flow. A flowtable looks it up once, with the help of a packet; there is none
 * here. So where routing rules may look at marks and the like, the answer is no.
 */

#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/rculist.h>
#include <linux/string.h>
#include <net/addrconf.h>
#include <net/arp.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ip_fib.h>
#include <net/ndisc.h>
#include <net/neighbour.h>
#include <net/nexthop.h>
#include <net/route.h>

#include "helpers.h"

/* Legs of a multipath route that are compared, at most. */
#define LEGS 16

/* What frames on a path look like; the innermost header is first. */
struct path_end {
	const struct net_device *dev;
	u8 smac[ETH_ALEN];
	u8 dmac[ETH_ALEN];
	struct nft_offload_encap encap[NFT_OFFLOAD_ENCAPS];
	unsigned int encaps;
};

static bool push(struct path_end *end, u16 id, __be16 proto)
{
	if (end->encaps == NFT_OFFLOAD_ENCAPS)
		return false;
	end->encap[end->encaps].id = id;
	end->encap[end->encaps++].proto = proto;
	return true;
}

static bool pass(struct path_end *end, const struct net_device_path *path)
{
	end->dev = path->dev;
	if (is_zero_ether_addr(end->smac))
		ether_addr_copy(end->smac, path->dev->dev_addr);

	switch (path->type) {
	case DEV_PATH_ETHERNET:
	case DEV_PATH_DSA:
		return true;
	case DEV_PATH_PPPOE:
		ether_addr_copy(end->dmac, path->encap.h_dest);
		fallthrough;
	case DEV_PATH_VLAN:
		return push(end, path->encap.id, path->encap.proto);
	case DEV_PATH_BRIDGE:
		switch (path->bridge.vlan_mode) {
		case DEV_PATH_BR_VLAN_KEEP:
		case DEV_PATH_BR_VLAN_UNTAG_HW:
			return true;
		case DEV_PATH_BR_VLAN_TAG:
			return push(end, path->bridge.vlan_id, path->bridge.vlan_proto);
		case DEV_PATH_BR_VLAN_UNTAG:
			if (!end->encaps)
				return false;
			end->encaps--;
			return true;
		}
		return false;
	default:
		return false;
	}
}

static bool is_end_of(const struct path_end *end, const struct nft_offload_direction *direction)
{
	const struct nft_offload_encap *outer = direction->encap;
	unsigned int i;

	if (end->dev->ifindex != direction->ifindex || end->encaps != direction->encaps ||
	    !ether_addr_equal(end->smac, direction->smac) ||
	    !ether_addr_equal(end->dmac, direction->dmac))
		return false;
	for (i = end->encaps; i--; outer++) {
		if (end->encap[i].id != outer->id || end->encap[i].proto != outer->proto)
			return false;
	}
	return true;
}

#if IS_BUILTIN(CONFIG_IPV6)
#define V6_NEIGHBOURS (&nd_tbl)
#else
/* IPv6 as a module could not be unloaded if this one used it. */
#define V6_NEIGHBOURS NULL
#endif

static bool lladdr_of(struct net_device *dev, bool v6, const void *addr, u8 *lladdr)
{
	struct neigh_table *table = v6 ? V6_NEIGHBOURS : &arp_tbl;
	struct neighbour *neigh;
	bool valid;

	/* The other end of a PPP link is no neighbour. */
	if (dev->type != ARPHRD_ETHER)
		return true;
	neigh = table ? neigh_lookup(table, addr, dev) : NULL;
	if (!neigh)
		return false;
	valid = READ_ONCE(neigh->nud_state) & NUD_VALID;
	neigh_ha_snapshot((char *)lladdr, neigh, dev);
	neigh_release(neigh);
	return valid;
}

/* Whether packets to the neighbour @addr at @dev take the path of @direction. */
static bool leads_by(const struct nft_offload_direction *direction, struct net_device *dev,
		     bool v6, const void *addr)
{
	struct net_device_path_ctx ctx = {
		.dev = dev,
#ifndef kernel_7_2
		.ether_type = htons(direction->v6 ? ETH_P_IPV6 : ETH_P_IP),
		.ieee80211 = true,
#endif
	};
	struct net_device_path_stack stack;
	struct path_end end = {};
	bool same = true;
	int i;

	if (!lladdr_of(dev, v6, addr, ctx.daddr))
		return false;
	ether_addr_copy(end.dmac, ctx.daddr);
	if (dev_fill_forward_path(&ctx, &stack) < 0)
		return false;
	for (i = 0; same && i < stack.num_paths; i++)
		same = pass(&end, &stack.path[i]);
	same = same && end.dev && is_end_of(&end, direction);
	dev_fill_forward_path_release(&stack);
	return same;
}

static __be32 v4_of(const u8 *addr)
{
	__be32 v4;

	memcpy(&v4, addr + sizeof(struct in6_addr) - sizeof(v4), sizeof(v4));
	return v4;
}

/* Whether the flowtable has found this MTU, too. */
static bool takes(const struct nft_offload_direction *direction, unsigned int mtu)
{
	return !direction->mtu || direction->mtu == mtu;
}

/* A leg of a route, if it is in use. The MTU is that of the route, or else of the device. */
static bool leg_leads_by(const struct nft_offload_direction *direction,
			 const struct fib_nh_common *leg, unsigned int mtu)
{
	struct net_device *dev = leg->nhc_dev;
	__be32 addr;

	if (!dev || leg->nhc_lwtstate || (leg->nhc_flags & RTNH_F_DEAD))
		return false;
	if (!takes(direction, mtu ?: READ_ONCE(dev->mtu)))
		return false;
	switch (leg->nhc_gw_family) {
	case AF_INET:
		return leads_by(direction, dev, false, &leg->nhc_gw.ipv4);
	case AF_INET6:
		return leads_by(direction, dev, true, &leg->nhc_gw.ipv6);
	default:
		addr = v4_of(direction->new_dst);
		return leads_by(direction, dev, direction->v6,
				direction->v6 ? (const void *)direction->new_dst : &addr);
	}
}

static bool is_current_v4(struct net *net, const struct nft_offload_direction *direction)
{
	struct flowi4 fl4 = {
		.daddr = v4_of(direction->new_dst),
		.saddr = v4_of(direction->src),
		.flowi4_iif = LOOPBACK_IFINDEX,
	};
	struct fib_result res = {};
	int legs, i;

	if (fib4_has_custom_rules(net) || fib_lookup(net, &fl4, &res, 0) ||
	    res.type != RTN_UNICAST)
		return false;
	legs = min_t(int, fib_info_num_path(res.fi), LEGS);
	for (i = 0; i < legs; i++) {
		const struct fib_nh_common *leg = fib_info_nhc(res.fi, i);

		if ((leg->nhc_flags & RTNH_F_LINKDOWN) && leg->nhc_dev &&
		    ip_ignore_linkdown(leg->nhc_dev))
			continue;
		if (leg_leads_by(direction, leg, res.fi->fib_mtu))
			return true;
	}
	return false;
}

#if IS_BUILTIN(CONFIG_IPV6)
static bool other_leg_v6(const struct rt6_info *rt, const struct nft_offload_direction *direction)
{
	const struct fib6_info *route = rcu_dereference(rt->from), *leg;
	int legs = LEGS;

	/* The legs of a nexthop object are not on this list. */
	if (!route || route->nh || !READ_ONCE(route->fib6_nsiblings))
		return false;
	list_for_each_entry_rcu(leg, &route->fib6_siblings, fib6_siblings) {
		if (!legs--)
			break;
		if (leg_leads_by(direction, &leg->fib6_nh->nh_common, 0))
			return true;
	}
	return false;
}

static bool is_current_v6(struct net *net, const struct nft_offload_direction *direction)
{
	struct flowi6 fl6 = { .flowi6_flags = FLOWI_FLAG_ANYSRC };
	const struct rt6_info *rt;
	struct dst_entry *dst;
	bool same = false;

	if (fib6_has_custom_rules(net))
		return false;
	memcpy(&fl6.daddr, direction->new_dst, sizeof(fl6.daddr));
	memcpy(&fl6.saddr, direction->src, sizeof(fl6.saddr));
	dst = ip6_route_output(net, NULL, &fl6);
	rt = dst_rt6_info(dst);
	if (!dst->error && !dst->lwtstate &&
	    !(rt->rt6i_flags & (RTF_LOCAL | RTF_ANYCAST | RTF_REJECT)))
		same = (takes(direction, ip6_dst_mtu_maybe_forward(dst, true)) &&
			leads_by(direction, dst_dev_rcu(dst), true,
				 rt6_nexthop(rt, &fl6.daddr))) ||
		       other_leg_v6(rt, direction);
	dst_release(dst);
	return same;
}

static bool is_own(struct net *net, const struct nft_offload_direction *direction, const u8 *addr)
{
	struct in6_addr v6;

	if (!direction->v6)
		return inet_addr_type(net, v4_of(addr)) == RTN_LOCAL;
	memcpy(&v6, addr, sizeof(v6));
	return ipv6_chk_addr(net, &v6, NULL, 0);
}
#else
static bool is_current_v6(struct net *net, const struct nft_offload_direction *direction)
{
	return false;
}

static bool is_own(struct net *net, const struct nft_offload_direction *direction, const u8 *addr)
{
	return !direction->v6 && inet_addr_type(net, v4_of(addr)) == RTN_LOCAL;
}
#endif

/*
 * An address that NAT puts in, or takes out, is one of the router's own, as a
 * rule; if it is not, no is on the safe side.
 */
static bool nat_is_current(struct net *net, const struct nft_offload_direction *direction)
{
	if (memcmp(direction->src, direction->new_src, sizeof(direction->src)) &&
	    !is_own(net, direction, direction->new_src))
		return false;
	return !memcmp(direction->dst, direction->new_dst, sizeof(direction->dst)) ||
	       is_own(net, direction, direction->dst);
}

/* To be called with RCU read-side protection. */
bool nft_offload_helper_path_is_current(struct net *net,
					const struct nft_offload_direction *direction)
{
	if (!nat_is_current(net, direction))
		return false;
	return direction->v6 ? is_current_v6(net, direction) : is_current_v4(net, direction);
}
