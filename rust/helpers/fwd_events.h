/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What of the network's state has changed by which packets find their way:
 * neighbours, bridges' stations, routes. The kernel tells by three kinds of
 * notifiers, one of them registered in each namespace; here they are one chain.
 */
#ifndef NFT_OFFLOAD_FWD_EVENTS_H
#define NFT_OFFLOAD_FWD_EVENTS_H

#include <linux/types.h>

struct notifier_block;

enum nft_offload_fwd_event_kind {
	/* addr is reached by mac on the device. */
	NFT_OFFLOAD_FWD_NEIGHBOUR,
	/* mac was seen at the device, a port of a bridge. */
	NFT_OFFLOAD_FWD_FDB,
	/* Packets to addr/len may go another way now. */
	NFT_OFFLOAD_FWD_ROUTE,
	/* A nexthop object is about to lead elsewhere; the routes by it are not told. */
	NFT_OFFLOAD_FWD_NEXTHOP,
};

/**
 * struct nft_offload_fwd_event - one change
 * @kind: an enum nft_offload_fwd_event_kind
 * @net: namespace, as a value to compare
 * @ifindex: of the device; of the real one below if it is a VLAN device
 * @v6: whether @addr is an IPv6 address
 * @len: length of the prefix, in bits
 * @addr: in network byte order, the first 4 bytes for IPv4
 * @mac: Ethernet address
 */
struct nft_offload_fwd_event {
	u32 kind;
	int ifindex;
	const void *net;
	bool v6;
	u8 len;
	u8 addr[16];
	u8 mac[6];
};

int nft_offload_helper_fwd_events_start(void);
void nft_offload_helper_fwd_events_stop(void);
int nft_offload_helper_fwd_events_register(struct notifier_block *nb);
void nft_offload_helper_fwd_events_unregister(struct notifier_block *nb);
void nft_offload_helper_fwd_events_synchronize(void);

#endif /* NFT_OFFLOAD_FWD_EVENTS_H */
