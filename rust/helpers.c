// SPDX-License-Identifier: GPL-2.0-only

#include <linux/bottom_half.h>
#include <linux/debugfs.h>
#include <linux/etherdevice.h>
#include <linux/hashtable.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/jiffies.h>
#include <linux/netdevice.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>
#include <net/dsa.h>
#include <net/flow_offload.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_tuple.h>
#include <net/netfilter/nf_conntrack_zones.h>
#include <net/netfilter/nf_flow_table.h>
#include <net/rtnetlink.h>
#include <net/sch_generic.h>
#include <net/tcx.h>

#include "helpers.h"

/* So many are looked at before others may run. */
#define FLOWS_AT_A_TIME 256

int nft_offload_helper_dev_ifindex(const struct net_device *dev)
{
	return READ_ONCE(dev->ifindex);
}

const char *nft_offload_helper_dev_name(const struct net_device *dev)
{
	return netdev_name(dev);
}

unsigned int nft_offload_helper_dev_mtu(const struct net_device *dev)
{
	return READ_ONCE(dev->mtu);
}

bool nft_offload_helper_dev_perm_addr(const struct net_device *dev, u8 *addr)
{
	if (dev->addr_len != ETH_ALEN || !is_valid_ether_addr(dev->perm_addr))
		return false;

	ether_addr_copy(addr, dev->perm_addr);
	return true;
}

bool nft_offload_helper_dev_forwards(const struct net_device *dev)
{
	return netif_running(dev) && netif_carrier_ok(dev);
}

bool nft_offload_helper_dev_is_ppp(const struct net_device *dev)
{
	return dev->type == ARPHRD_PPP;
}

struct net *nft_offload_helper_dev_net(const struct net_device *dev)
{
	return dev_net(dev);
}

/* @name has room for IFNAMSIZ bytes. */
bool nft_offload_helper_dev_name_of(struct net *net, int ifindex, char *name)
{
	struct net_device *dev;

	rcu_read_lock();
	dev = dev_get_by_index_rcu(net, ifindex);
	if (dev)
		strscpy(name, dev->name, IFNAMSIZ);
	rcu_read_unlock();
	return dev;
}

void nft_offload_helper_dev_hold(struct net_device *dev)
{
	dev_hold(dev);
}

void nft_offload_helper_dev_put(struct net_device *dev)
{
	dev_put(dev);
}

struct net_device *nft_offload_helper_notifier_dev(void *info)
{
	return netdev_notifier_info_to_dev(info);
}

/* Of NETDEV_CHANGEUPPER, which is about the lower device. */
struct net_device *nft_offload_helper_notifier_upper(void *info)
{
	struct netdev_notifier_changeupper_info *change = info;

	return change->upper_dev;
}

/* The kind is what user space knows these devices by ("ip link show type"). */
static bool is_kind(const struct net_device *dev, const char *kind)
{
	return dev->rtnl_link_ops && !strcmp(dev->rtnl_link_ops->kind, kind);
}

bool nft_offload_helper_is_dsa_user(const struct net_device *dev)
{
	return is_kind(dev, "dsa");
}

/*
 * With RTNL held the links between devices stay, and a conduit stays one: its
 * dsa_ptr is set and cleared under it. As long as it is set, the tree has all
 * of its ports.
 */
bool nft_offload_helper_dsa_user_port(struct net_device *dev,
				      struct nft_offload_dsa_user_port *port)
{
#if IS_ENABLED(CONFIG_NET_DSA)
	struct net_device *lower;
	struct list_head *iter;
	struct dsa_port *dp;

	ASSERT_RTNL();
	if (!nft_offload_helper_is_dsa_user(dev))
		return false;

	netdev_for_each_lower_dev(dev, lower, iter) {
		struct dsa_port *cpu_dp = lower->dsa_ptr;

		if (!netdev_uses_dsa(lower))
			continue;
		dsa_tree_for_each_user_port(dp, cpu_dp->dst) {
			if (dp->user != dev)
				continue;
			port->conduit = lower;
			port->index = dp->ds == cpu_dp->ds ? dp->index
							   : UINT_MAX;
			port->tag = cpu_dp->tag_ops->proto;
			return true;
		}
	}
#endif
	return false;
}

bool nft_offload_helper_dev_is_ifb(const struct net_device *dev)
{
	return is_kind(dev, "ifb");
}

/* Without RTNL the name may be changing meanwhile, and be a mixture then. */
void nft_offload_helper_dev_copy_name(const struct net_device *dev, char *name)
{
	strscpy_pad(name, dev->name, IFNAMSIZ);
}

/*
 * @addr is where a namespace was once. Returns the one that is there now, with a
 * reference, or NULL.
 */
struct net *nft_offload_helper_net_get(const void *addr)
{
	struct net *net, *found = NULL;

	rcu_read_lock();
	for_each_net_rcu(net) {
		if (net == addr) {
			found = maybe_get_net(net);
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

void nft_offload_helper_net_put(struct net *net)
{
	put_net(net);
}

/*
 * What follows is for readers under RCU. Devices, their links to others, qdiscs
 * and channels of PPP are all taken off their lists a grace period before they
 * are freed; so are the modules that their ops are in.
 */

/* The device after @dev, the first one if that is NULL. */
struct net_device *nft_offload_helper_next_dev(struct net *net,
					       struct net_device *dev)
{
	struct net_device *first;

	if (dev)
		return next_net_device_rcu(dev);

	for_each_netdev_rcu(net, first)
		return first;
	return NULL;
}

/* The next device that @dev is linked to as upper one; @iter is NULL at first. */
struct net_device *nft_offload_helper_next_lower(struct net_device *dev,
						 struct list_head **iter)
{
	if (!*iter)
		*iter = &dev->adj_list.lower;
	return netdev_next_lower_dev_rcu(dev, iter);
}

/* The ID of a VLAN device, negative if @dev is none. */
int nft_offload_helper_dev_vlan(const struct net_device *dev)
{
#if IS_ENABLED(CONFIG_VLAN_8021Q)
	if (is_vlan_dev(dev))
		return vlan_dev_priv(dev)->vlan_id;
#endif
	return -1;
}

/*
 * PPP devices are linked to none below. So this asks as nf_flowtable does when
 * it looks for the way of a flow.
 */
struct net_device *nft_offload_helper_dev_pppoe(struct net_device *dev,
						u16 *session)
{
	struct net_device_path_ctx ctx = { .dev = dev };
	struct net_device_path path = {};

	if (dev->type != ARPHRD_PPP || !dev->netdev_ops->ndo_fill_forward_path ||
	    dev->netdev_ops->ndo_fill_forward_path(&ctx, &path) < 0 ||
	    path.type != DEV_PATH_PPPOE)
		return NULL;

	*session = path.encap.id;
	return (struct net_device *)ctx.dev;
}

/*
 * The kind of a qdisc of @dev that @is_wanted: of the root or of any below. All
 * but the root are in the hash; one that is moved there meanwhile can be missed.
 */
const char *
nft_offload_helper_dev_find_qdisc(struct net_device *dev,
				  bool (*is_wanted)(void *ctx, const char *kind),
				  void *ctx)
{
#ifdef CONFIG_NET_SCHED
	struct Qdisc *q = rcu_dereference(dev->qdisc);
	int bucket;

	if (q && is_wanted(ctx, q->ops->id))
		return q->ops->id;

	hash_for_each_rcu(dev->qdisc_hash, bucket, q, hash) {
		if (is_wanted(ctx, q->ops->id))
			return q->ops->id;
	}
#endif
	return NULL;
}

/* Whether tc has filters for what @dev receives, of ingress or clsact. */
bool nft_offload_helper_dev_ingress_filters(const struct net_device *dev)
{
#ifdef CONFIG_NET_XGRESS
	struct bpf_mprog_entry *entry = rcu_dereference(dev->tcx_ingress);

	return entry && rcu_access_pointer(tcx_entry(entry)->miniq);
#else
	return false;
#endif
}

/*
 * driver_list is not used, but nf_flow_table_indr_cleanup() deletes it from
 * whatever list it is in.
 */
void nft_offload_helper_block_cb_add(struct flow_block_cb *block_cb,
				     struct flow_block_offload *bo)
{
	INIT_LIST_HEAD(&block_cb->driver_list);
	flow_block_cb_add(block_cb, bo);
}

/*
 * Takes @block_cb off the list that the flowtable's workers walk. They do so
 * with flow_block_lock held for reading, and the indirect path does not take
 * it for the driver, so it is taken here. The core frees @block_cb after the
 * driver has answered; with no release callback left it has no reason to call
 * into this module again.
 */
void nft_offload_helper_block_cb_detach(struct flow_block_cb *block_cb,
					struct flow_block_offload *bo,
					struct nf_flowtable *flowtable)
{
	down_write(&flowtable->flow_block_lock);
	flow_indr_block_cb_remove(block_cb, bo);
	block_cb->release = NULL;
	up_write(&flowtable->flow_block_lock);
}

/*
 * A block of tc is different: the core holds its cb_lock for writing, and after
 * the driver has answered it sends a DESTROY for each rule to @block_cb, and
 * then releases it.
 */
void nft_offload_helper_tc_block_cb_detach(struct flow_block_cb *block_cb,
					   struct flow_block_offload *bo)
{
	flow_indr_block_cb_remove(block_cb, bo);
}

/* @message has to be static. */
void nft_offload_helper_set_extack(struct netlink_ext_ack *extack,
				   const char *message)
{
	if (extack)
		extack->_msg = message;
}

struct net *nft_offload_helper_flowtable_net(const struct nf_flowtable *ft)
{
	return read_pnet(&ft->net);
}

bool nft_offload_helper_flowtable_counter(const struct nf_flowtable *ft)
{
	return ft->flags & NF_FLOWTABLE_COUNTER;
}

void nft_offload_helper_flowtable_cleanup(struct net *net, int ifindex)
{
	struct net_device *dev = dev_get_by_index(net, ifindex);

	if (!dev)
		return;

	nf_flow_table_cleanup(dev);
	dev_put(dev);
}

static struct nft_offload_direction
direction_of(const struct flow_offload *flow, enum flow_offload_tuple_dir dir)
{
	const struct flow_offload_tuple *to = &flow->tuplehash[dir].tuple;
	const struct flow_offload_tuple *from = &flow->tuplehash[!dir].tuple;
	struct nft_offload_direction direction = {
		.cookie = (unsigned long)to,
		.pending = test_bit(NF_FLOW_PENDING, &flow->flags),
		.has_way = to->xmit_type == FLOW_OFFLOAD_XMIT_DIRECT,
		.v6 = to->l3proto == AF_INET6,
	};
	size_t len = direction.v6 ? sizeof(to->src_v6) : sizeof(to->src_v4);
	int i;

	if (!direction.has_way)
		return direction;

	direction.ifindex = to->out.ifidx;
	ether_addr_copy(direction.dmac, to->out.h_dest);
	memcpy(direction.src, &to->src_v6, len);
	memcpy(direction.dst, &to->dst_v6, len);
	memcpy(direction.new_src, &from->dst_v6, len);
	memcpy(direction.new_dst, &from->src_v6, len);
	for (i = 0; i < from->encap_num; i++)
		direction.pppoe |= from->encap[i].proto == htons(ETH_P_PPP_SES);
	return direction;
}

/*
 * Ends the flows for which @pred, which must not sleep, holds. A flow that ends
 * already is left alone: by now the connection may have another one, whose mark
 * flow_offload_teardown() would take off.
 */
void nft_offload_helper_flowtable_end(struct nf_flowtable *ft,
				      nft_offload_flow_pred pred, void *arg)
{
	struct flow_offload_tuple_rhash *hash;
	struct rhashtable_iter iter;
	unsigned int seen = 0;

	rhashtable_walk_enter(&ft->rhashtable, &iter);
	rhashtable_walk_start(&iter);
	while ((hash = rhashtable_walk_next(&iter))) {
		struct nft_offload_direction original, reply;
		struct flow_offload *flow;

		if (IS_ERR(hash)) {
			/* The table has grown; what was seen comes again. */
			if (PTR_ERR(hash) == -EAGAIN)
				continue;
			break;
		}
		if (hash->tuple.dir != FLOW_OFFLOAD_DIR_ORIGINAL)
			continue;

		flow = container_of(hash, struct flow_offload,
				    tuplehash[FLOW_OFFLOAD_DIR_ORIGINAL]);
		if (!test_bit(NF_FLOW_TEARDOWN, &flow->flags)) {
			original = direction_of(flow, FLOW_OFFLOAD_DIR_ORIGINAL);
			reply = direction_of(flow, FLOW_OFFLOAD_DIR_REPLY);
			if (pred(arg, &original, &reply))
				flow_offload_teardown(flow);
		}
		if (++seen % FLOWS_AT_A_TIME == 0) {
			rhashtable_walk_stop(&iter);
			cond_resched();
			rhashtable_walk_start(&iter);
		}
	}
	rhashtable_walk_stop(&iter);
	rhashtable_walk_exit(&iter);
}

void nft_offload_helper_stats_update(struct flow_stats *stats, u64 bytes,
				     u64 packets, u64 lastused)
{
	/* The counters are read when they are asked for. */
	flow_stats_update(stats, bytes, packets, 0, lastused,
			  FLOW_ACTION_HW_STATS_IMMEDIATE);
}

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

void nft_offload_helper_pci_clear_master(struct device *dev)
{
	pci_clear_master(to_pci_dev(dev));
}

void nft_offload_helper_bh_disable(void)
{
	local_bh_disable();
}

void nft_offload_helper_bh_enable(void)
{
	local_bh_enable();
}

/* Returns when those have left RTNL who hold it now. */
void nft_offload_helper_rtnl_barrier(void)
{
	rtnl_lock();
	rtnl_unlock();
}

void nft_offload_helper_work_init(struct delayed_work *work,
				  void (*func)(struct work_struct *work))
{
	INIT_DELAYED_WORK(work, func);
}

/* Does nothing if @work waits already. */
void nft_offload_helper_work_queue(struct delayed_work *work, u64 ms)
{
	queue_delayed_work(system_dfl_wq, work, msecs_to_jiffies(ms));
}

void nft_offload_helper_work_queue_now(struct delayed_work *work)
{
	mod_delayed_work(system_dfl_wq, work, 0);
}

struct delayed_work *nft_offload_helper_work_delayed(struct work_struct *work)
{
	return to_delayed_work(work);
}

const struct nft_offload_file *nft_offload_helper_seq_file(const struct seq_file *seq)
{
	return seq->private;
}

static int file_open(struct inode *inode, struct file *filp)
{
	const struct nft_offload_file *file = inode->i_private;
	int err = seq_open(filp, file->seq);

	if (!err)
		((struct seq_file *)filp->private_data)->private = inode->i_private;
	return err;
}

static ssize_t file_write(struct file *filp, const char __user *from, size_t len,
			  loff_t *pos)
{
	const struct nft_offload_file *file = file_inode(filp)->i_private;
	char *text;
	int err;

	if (!file->write)
		return -EPERM;
	if (len > NFT_OFFLOAD_FILE_TEXT)
		return -EINVAL;

	text = memdup_user_nul(from, len);
	if (IS_ERR(text))
		return PTR_ERR(text);
	err = strlen(text) == len ? file->write(file, strim(text)) : -EINVAL;
	kfree(text);
	return err ?: len;
}

/*
 * The owner keeps the module as long as a file is open: debugfs lets no more
 * calls through after the file was removed, save for release.
 */
static const struct file_operations file_ops = {
	.owner = THIS_MODULE,
	.open = file_open,
	.read = seq_read,
	.write = file_write,
	.llseek = seq_lseek,
	.release = seq_release,
};

struct dentry *nft_offload_helper_file_create(const char *name, bool readable,
					      struct dentry *parent,
					      struct nft_offload_file *file)
{
	umode_t mode = (readable ? 0400 : 0) | (file->write ? 0200 : 0);

	return debugfs_create_file(name, mode, parent, file, &file_ops);
}

/* No finer than what the core wants to know, which are jiffies. */
u64 nft_offload_helper_now_ms(void)
{
	return jiffies64_to_msecs(get_jiffies_64());
}

/* The value jiffies had @ms milliseconds ago, as flow_stats::lastused wants. */
u64 nft_offload_helper_jiffies_ago(u64 ms)
{
	return get_jiffies_64() - nsecs_to_jiffies64(ms * NSEC_PER_MSEC);
}

void nft_offload_helper_dma_wmb(void)
{
	dma_wmb();
}
