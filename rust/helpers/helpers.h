/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inline functions and macros of the kernel that bindgen cannot bind, and the
 * few places where a C lock has to be held around them.
 */
#ifndef NFT_OFFLOAD_HELPERS_H
#define NFT_OFFLOAD_HELPERS_H

#include <linux/string.h>
#include <linux/types.h>
#include <net/net_trackers.h>

struct dentry;
struct device;
struct inode;
struct seq_file;
struct seq_operations;
struct delayed_work;
struct flow_block_cb;
struct flow_block_offload;
struct flow_offload_tuple;
struct flow_stats;
struct list_head;
struct lock_class_key;
struct net;
struct net_device;
struct netlink_ext_ack;
struct nf_conn;
struct nf_conntrack_tuple;
struct nf_flowtable;
struct sk_buff;
struct work_struct;

int nft_offload_helper_dev_ifindex(const struct net_device *dev);
unsigned int nft_offload_helper_dev_mtu(const struct net_device *dev);
bool nft_offload_helper_dev_perm_addr(const struct net_device *dev, u8 *addr);
bool nft_offload_helper_dev_forwards(const struct net_device *dev);
bool nft_offload_helper_dev_is_ppp(const struct net_device *dev);
struct net *nft_offload_helper_dev_net(const struct net_device *dev);
bool nft_offload_helper_dev_name_of(struct net *net, int ifindex, char *name);
void nft_offload_helper_dev_hold(struct net_device *dev,
				 netdevice_tracker *tracker);
void nft_offload_helper_dev_put(struct net_device *dev,
				netdevice_tracker *tracker);
struct net_device *nft_offload_helper_notifier_dev(void *info);
struct net_device *nft_offload_helper_notifier_upper(void *info);

/**
 * struct nft_offload_dsa_user_port - what a DSA user port is
 * @conduit: the device by which the CPU reaches the switch
 * @index: the switch's number of the port, UINT_MAX if a frame cannot name it
 * @tag: the protocol of the tags (enum dsa_tag_protocol)
 */
struct nft_offload_dsa_user_port {
	struct net_device *conduit;
	unsigned int index;
	unsigned int tag;
};

bool nft_offload_helper_is_dsa_user(const struct net_device *dev);
bool nft_offload_helper_dsa_user_port(struct net_device *dev,
				      struct nft_offload_dsa_user_port *port);

bool nft_offload_helper_dev_is_ifb(const struct net_device *dev);
void nft_offload_helper_dev_copy_name(const struct net_device *dev, char *name);
struct net *nft_offload_helper_net_get(const void *addr);
void nft_offload_helper_net_put(struct net *net);

struct net_device *nft_offload_helper_next_dev(struct net *net,
					       struct net_device *dev);
struct net_device *nft_offload_helper_next_lower(struct net_device *dev,
						 struct list_head **iter);
int nft_offload_helper_dev_vlan(const struct net_device *dev);
struct net_device *nft_offload_helper_dev_pppoe(struct net_device *dev,
						u16 *session);
const char *
nft_offload_helper_dev_find_qdisc(struct net_device *dev,
				  bool (*is_wanted)(void *ctx, const char *kind),
				  void *ctx);
bool nft_offload_helper_dev_ingress_filters(const struct net_device *dev);
bool nft_offload_helper_dev_tc_filters(const struct net_device *dev, bool egress);
bool nft_offload_helper_dev_nft_chains(const struct net_device *dev, bool egress);
bool nft_offload_helper_dev_xdp(struct net_device *dev);
bool nft_offload_helper_has_routing_rules(const struct net *net);
bool nft_offload_helper_other_neighbour(struct net *net, int ifindex, bool v6,
					const void *addr, const u8 *mac);
bool nft_offload_helper_dev_has_address(const struct net_device *dev);
bool nft_offload_helper_dev_egress_qos_map(const struct net_device *dev);

void nft_offload_helper_block_cb_add(struct flow_block_cb *block_cb,
				     struct flow_block_offload *bo);
void nft_offload_helper_block_cb_detach(struct flow_block_cb *block_cb,
					struct flow_block_offload *bo,
					struct nf_flowtable *flowtable);
void nft_offload_helper_tc_block_cb_detach(struct flow_block_cb *block_cb,
					   struct flow_block_offload *bo);
void nft_offload_helper_set_extack(struct netlink_ext_ack *extack,
				   const char *message);
struct net *nft_offload_helper_flowtable_net(const struct nf_flowtable *ft);
bool nft_offload_helper_flowtable_counter(const struct nf_flowtable *ft);
void nft_offload_helper_flowtable_cleanup(struct net *net, int ifindex);

/* An IPv4 address as IPv6 maps it, or an IPv6 address. */
static inline void nft_offload_copy_addr(u8 *to, const void *from, bool v6)
{
	if (v6) {
		memcpy(to, from, 16);
		return;
	}
	memset(to, 0, 10);
	memset(to + 10, 0xff, 2);
	memcpy(to + 12, from, 4);
}

/* Headers that a flow leaves with, at most (NF_FLOW_TABLE_ENCAP_MAX). */
#define NFT_OFFLOAD_ENCAPS 2

/**
 * struct nft_offload_encap - a VLAN tag or PPPoE
 * @id: VLAN or session
 * @proto: its EtherType
 */
struct nft_offload_encap {
	u16 id;
	__be16 proto;
};

/**
 * struct nft_offload_direction - one direction of a flow that a flowtable has
 * @cookie: what the drivers know it by
 * @iif: interface index of the device at which packets arrive
 * @pending: whether a command for the flow is on its way to the drivers
 * @mtu: the largest packet that its route took when the flow came, or 0
 * @has_path: whether the flowtable keeps the path; what follows is valid only
 *	      then
 * @v6: whether it is IPv6
 * @encaps: number of elements of @encap
 * @encap: headers that packets leave with, outermost first
 * @smac: Ethernet address they are sent from
 * @dmac: Ethernet address they are sent to
 * @ifindex: of the lowest device they leave by
 * @src: source address of packets that arrive, of IPv6 or mapped to it
 * @dst: their destination address
 * @new_src: the source address they leave with
 * @new_dst: the destination address they leave with
 */
struct nft_offload_direction {
	unsigned long cookie;
	int iif;
	bool pending;
	unsigned int mtu;
	bool has_path;
	bool v6;
	u8 encaps;
	struct nft_offload_encap encap[NFT_OFFLOAD_ENCAPS];
	u8 smac[6];
	u8 dmac[6];
	int ifindex;
	u8 src[16];
	u8 dst[16];
	u8 new_src[16];
	u8 new_dst[16];
};

typedef bool (*nft_offload_flow_pred)(void *arg,
				      const struct nft_offload_direction *original,
				      const struct nft_offload_direction *reply);
typedef bool (*nft_offload_flow_step)(void *arg);

unsigned int nft_offload_helper_flow_mtu(const struct flow_offload_tuple *tuple);
bool nft_offload_helper_flowtable_end(struct nf_flowtable *ft, unsigned int most,
				      nft_offload_flow_pred pred,
				      nft_offload_flow_step step, void *arg);
bool nft_offload_helper_path_is_current(struct net *net,
					const struct nft_offload_direction *direction);
void nft_offload_helper_stats_update(struct flow_stats *stats, u64 bytes,
				     u64 packets, u64 lastused);

struct nf_conn *
nft_offload_helper_flow_ct(const struct flow_offload_tuple *tuple, u8 *dir);
void nft_offload_helper_flow_use_neigh(const struct flow_offload_tuple *tuple);

u32 nft_offload_helper_ct_zone(const struct nf_conn *ct);
struct nf_conn *
nft_offload_helper_ct_find(struct net *net, u32 zone_number,
			   const struct nf_conntrack_tuple *tuple, u8 *dir);
void nft_offload_helper_ct_put(struct nf_conn *ct);
void nft_offload_helper_ct_seen(struct nf_conn *ct, u8 dir, bool several,
				u64 last);

/* What a frame looks like that has just been received. */
struct nft_offload_frame {
	u8 smac[6];
	u8 dmac[6];
	/* Of what follows the tag, in host byte order. */
	u16 protocol;
	/* The outer tag in host byte order; tpid is 0 if there is none. */
	u16 tpid;
	u16 tci;
	/* Packets that were joined to this one; at least 1. */
	u16 packets;
	/* The first bytes of what follows, and how many there are. */
	u8 head_len;
	u8 head[54];
};

bool nft_offload_helper_frame(const struct sk_buff *skb,
			      struct nft_offload_frame *frame);

void nft_offload_helper_pci_clear_master(struct device *dev);

void nft_offload_helper_bh_disable(void);
void nft_offload_helper_bh_enable(void);
void nft_offload_helper_rtnl_barrier(void);

void nft_offload_helper_work_init(struct delayed_work *work,
				  void (*func)(struct work_struct *work),
				  const char *name, struct lock_class_key *key);
void nft_offload_helper_work_queue(struct delayed_work *work, u64 ms);
void nft_offload_helper_work_queue_now(struct delayed_work *work);
struct delayed_work *nft_offload_helper_work_delayed(struct work_struct *work);

/* Longest text that can be written to a file. */
#define NFT_OFFLOAD_FILE_TEXT	255

/**
 * struct nft_offload_file - a file in debugfs
 * @seq: what is read; the private data of the seq_file is this structure
 * @write: takes what was written, a string without its last newline; NULL if
 *	nothing can be
 */
struct nft_offload_file {
	const struct seq_operations *seq;
	int (*write)(const struct nft_offload_file *file, const char *text);
};

struct dentry *nft_offload_helper_file_create(const char *name, bool readable,
					      struct dentry *parent,
					      struct nft_offload_file *file);
const struct nft_offload_file *nft_offload_helper_seq_file(const struct seq_file *seq);

/**
 * struct nft_offload_attr - a file in sysfs
 * @name: its name, which lives as long as the file
 * @show: writes at most @size bytes of text to @buf and returns how many; NULL if
 *	nothing can be read
 * @store: takes what was written, a string without blanks around it; NULL if
 *	nothing can be
 */
struct nft_offload_attr {
	const char *name;
	ssize_t (*show)(const struct nft_offload_attr *attr, char *buf, size_t size);
	int (*store)(const struct nft_offload_attr *attr, const char *text);
};

struct nft_offload_attrs;

struct nft_offload_attrs *
nft_offload_helper_attrs_add(struct device *dev, const char *name,
			     const struct nft_offload_attr *const *ours, size_t count);
void nft_offload_helper_attrs_remove(struct device *dev, struct nft_offload_attrs *attrs);

/* Sizes of texts in tracepoints, their end included. */
#define NFT_OFFLOAD_TRACE_NAME 32
#define NFT_OFFLOAD_TRACE_WORD 16
#define NFT_OFFLOAD_TRACE_TUPLE 104

/**
 * struct nft_offload_trace_tuple - addresses and ports in a tracepoint
 * @text: all of it, as debugfs shows it; "-" if it is not known
 * @saddr: source address; an IPv4 address is in the first four bytes
 * @daddr: destination address, likewise
 * @family: AF_INET, AF_INET6, or 0 if nothing is known
 * @sport: source port, in host byte order like @dport
 * @dport: destination port
 * @protocol: IPPROTO_*
 */
struct nft_offload_trace_tuple {
	char text[NFT_OFFLOAD_TRACE_TUPLE];
	u8 saddr[16];
	u8 daddr[16];
	u16 family;
	u16 sport;
	u16 dport;
	u8 protocol;
};

/* What happened to a flow that has a slot. */
struct nft_offload_trace_flow {
	char device[NFT_OFFLOAD_TRACE_NAME];
	char why[NFT_OFFLOAD_TRACE_WORD];
	struct nft_offload_trace_tuple orig;
	struct nft_offload_trace_tuple new;
	u64 packets;
	u64 bytes;
	u64 idle_ms;
	u32 slot;
	u32 owner;
	u8 in_port;
	u8 out_port;
};

/* What was refused. */
struct nft_offload_trace_reject {
	char device[NFT_OFFLOAD_TRACE_NAME];
	char reason[NFT_OFFLOAD_TRACE_NAME];
	char in_dev[NFT_OFFLOAD_TRACE_WORD];
	char out_dev[NFT_OFFLOAD_TRACE_WORD];
	struct nft_offload_trace_tuple orig;
	u32 owner;
};

/* An engine that was given up. */
struct nft_offload_trace_quarantine {
	char device[NFT_OFFLOAD_TRACE_NAME];
	char chip[NFT_OFFLOAD_TRACE_WORD];
};

u64 nft_offload_helper_now_ms(void);
u64 nft_offload_helper_jiffies_ago(u64 ms);
void nft_offload_helper_dma_wmb(void);

#endif
