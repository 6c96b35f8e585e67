// SPDX-License-Identifier: GPL-2.0-only

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/skbuff.h>

#include "helpers.h"

/*
 * Reads @skb and changes nothing, as others may have it, too. Returns whether
 * it came in from the wire as an Ethernet frame.
 */
bool nft_offload_helper_frame(const struct sk_buff *skb,
			      struct nft_offload_frame *frame)
{
	int offset = skb_network_offset(skb);

	if (skb->pkt_type == PACKET_OUTGOING || skb->pkt_type == PACKET_LOOPBACK ||
	    !skb_mac_header_was_set(skb) || skb_mac_header_len(skb) < ETH_HLEN ||
	    offset < 0 || offset >= skb->len)
		return false;

	ether_addr_copy(frame->dmac, eth_hdr(skb)->h_dest);
	ether_addr_copy(frame->smac, eth_hdr(skb)->h_source);
	frame->protocol = ntohs(skb->protocol);
	frame->tpid = 0;
	frame->tci = 0;
	if (skb_vlan_tag_present(skb)) {
		frame->tpid = ntohs(skb->vlan_proto);
		frame->tci = skb_vlan_tag_get(skb);
	}
	frame->packets = max_t(u16, skb_shinfo(skb)->gso_segs, 1);
	frame->head_len = min_t(unsigned int, skb->len - offset, sizeof(frame->head));
	return !skb_copy_bits(skb, offset, frame->head, frame->head_len);
}
