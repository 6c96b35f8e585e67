/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events by which the paths of packets may change: of neighbours, FDB entries,
 * routes and devices. The kernel has a notifier for each of them, some in each
 * namespace; here they are one chain, for the namespaces that are watched. In
 * another one an event costs a comparison.
 */
#ifndef NFT_OFFLOAD_FWD_EVENTS_H
#define NFT_OFFLOAD_FWD_EVENTS_H

#include <linux/types.h>

struct net;
struct notifier_block;

enum nft_offload_fwd_event_kind {
	/* The neighbour addr at the device has the Ethernet address mac. */
	NFT_OFFLOAD_FWD_NEIGHBOUR,
	/* A bridge has another FDB entry for mac. */
	NFT_OFFLOAD_FWD_FDB,
	/* Packets to addr/len may take another path now. */
	NFT_OFFLOAD_FWD_ROUTE,
	/* A nexthop object is about to lead elsewhere; the notifier does not say which routes use it. */
	NFT_OFFLOAD_FWD_NEXTHOP,
	/* The device, or one above it, went down or has another Ethernet address. */
	NFT_OFFLOAD_FWD_DEVICE,
	/*
	 * A device above no longer takes frames for its own Ethernet address, or
	 * the MTU of the device, or of one above, changed.
	 */
	NFT_OFFLOAD_FWD_ALL,
	/* A bridge removes a VLAN from its port at the device, or changes its tag. */
	NFT_OFFLOAD_FWD_VLAN,
};

/**
 * struct nft_offload_fwd_event - one event
 * @kind: an enum nft_offload_fwd_event_kind
 * @net: namespace, as a value to compare
 * @ifindex: of the device; of the device itself for a neighbour, of one below
 *	     otherwise
 * @len: length of the prefix, in bits
 * @vid: the VLAN
 * @addr: of IPv6, or mapped to it
 * @mac: Ethernet address
 */
struct nft_offload_fwd_event {
	u32 kind;
	int ifindex;
	const void *net;
	u8 len;
	u16 vid;
	u8 addr[16];
	u8 mac[6];
};

int nft_offload_helper_fwd_events_start(void);
void nft_offload_helper_fwd_events_stop(void);
void nft_offload_helper_fwd_events_watch(struct net *net);
void nft_offload_helper_fwd_events_unwatch(struct net *net);
int nft_offload_helper_fwd_events_register(struct notifier_block *nb);
void nft_offload_helper_fwd_events_unregister(struct notifier_block *nb);
void nft_offload_helper_fwd_events_synchronize(void);

#endif /* NFT_OFFLOAD_FWD_EVENTS_H */
