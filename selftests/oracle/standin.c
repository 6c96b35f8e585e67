// SPDX-License-Identifier: GPL-2.0-only

#include <linux/device/faux.h>
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/rtnetlink.h>
#include <linux/vmalloc.h>
#include <net/dsa.h>
#include <net/flow_offload.h>

#include "mtk_eth_soc.h"
#include "mtk_wed.h"
#include "ours.h"
#include "standin.h"

#define REGS_SIZE	0x4000
#define FE_CLOCK	0x0010
#define PPE0_V1		0x0c00
#define PPE0_V2		0x2000

/* What differs between chips stands in the kernel's mtk_eth_soc.c. */
const struct oracle_chip oracle_chips[] = {
	{ "mt7621", 0x7621, 1, 1, 1, 2, 2, MTK_FOE_ENTRY_V1_SIZE, false },
	{ "mt7623", 0x7623, 1, 1, 1, 2, 2, MTK_FOE_ENTRY_V1_SIZE, false },
	{ "mt7622", 0x7622, 1, 2, 1, 2, 2, MTK_FOE_ENTRY_V1_SIZE, true },
	{ "mt7981", 0x7981, 2, 2, 2, 4, 2, MTK_FOE_ENTRY_V2_SIZE, true },
	{ "mt7986", 0x7986, 2, 2, 2, 4, 2, MTK_FOE_ENTRY_V2_SIZE, true },
	{ "mt7988", 0x7988, 3, 2, 3, 4, 3, MTK_FOE_ENTRY_V3_SIZE, true },
};

const unsigned int oracle_num_chips = ARRAY_SIZE(oracle_chips);

bool oracle_memory;

/* The driver finds its own devices by these. */
static netdev_tx_t standin_xmit(struct sk_buff *skb, struct net_device *dev)
{
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops standin_ops = {
	.ndo_start_xmit = standin_xmit,
};

static const struct net_device_ops foreign_ops = {
	.ndo_start_xmit = standin_xmit,
};

/* The two functions of mtk_eth_soc.c that the PPE driver calls. */
u32 mtk_r32(struct mtk_eth *eth, unsigned int reg)
{
	return readl(eth->base + reg);
}

int mtk_ppe_debugfs_init(struct mtk_ppe *ppe, int index)
{
	return 0;
}

#ifdef CONFIG_NET_MEDIATEK_SOC_WED
/* No port leads to WLAN. */
int mtk_wed_flow_add(int index)
{
	return -EOPNOTSUPP;
}

void mtk_wed_flow_remove(int index)
{
}
#endif

static const struct dsa_device_ops tag_ops = {
	.name = "mtk",
	.proto = DSA_TAG_PROTO_MTK,
};

static struct dsa_port cpu_port = { .tag_ops = &tag_ops };
static struct dsa_port user_port = { .cpu_dp = &cpu_port };
static struct oracle_standin *standin;

struct dsa_port *oracle_dsa_port(struct net_device *dev)
{
	return dev && dev == standin->user ? &user_port : ERR_PTR(-ENODEV);
}

/*
 * Ports are devices of another driver, which keeps its own data in them. The
 * driver takes all devices with the operations of a port for its own, and asks
 * for its data of them; those that are no port have the first engine.
 */
struct mtk_mac *oracle_mac(const struct net_device *dev)
{
	static struct mtk_mac nobody;
	int i;

	for (i = 0; i < ORACLE_PORTS; i++)
		if (standin->port[i] == dev)
			return &standin->mac[i];
	return &nobody;
}

void oracle_set_switch_port(unsigned int index)
{
	user_port.index = index;
}

static const struct rhashtable_params flow_params = {
	.head_offset = offsetof(struct mtk_flow_entry, node),
	.key_offset = offsetof(struct mtk_flow_entry, cookie),
	.key_len = sizeof(unsigned long),
	.automatic_shrinking = true,
};

void oracle_set_port(struct oracle_standin *s, unsigned int port, struct net_device *dev)
{
	s->port[port] = dev;
	s->eth->netdev[port] = dev;
	s->eth->mac[port] = dev ? &s->mac[port] : NULL;
}

static struct net_device *standin_netdev(u8 id, const struct net_device_ops *ops)
{
	struct net_device *dev;

	dev = alloc_etherdev(0);
	if (!dev)
		return NULL;

	dev->netdev_ops = ops;
	snprintf(dev->name, IFNAMSIZ, "oracle%u", id);
	eth_hw_addr_random(dev);
	if (register_netdev(dev)) {
		free_netdev(dev);
		return NULL;
	}
	return dev;
}

static void standin_netdev_free(struct net_device *dev)
{
	if (!dev)
		return;
	unregister_netdev(dev);
	free_netdev(dev);
}

static const struct mtk_soc_data *standin_soc(const struct oracle_chip *chip)
{
	struct mtk_soc_data *soc = kzalloc_obj(*soc);

	if (!soc)
		return NULL;
	soc->version = chip->version;
	soc->offload_version = chip->offload_version;
	soc->hash_offset = chip->ways;
	soc->ppe_num = chip->ppe_num;
	soc->foe_entry_size = chip->entry_size;
	soc->has_accounting = chip->accounting;
	return soc;
}

static void __iomem *ppe_base(struct oracle_standin *s, int index)
{
	unsigned int base = s->chip->version == 1 ? PPE0_V1 : PPE0_V2;

	return s->eth->base + base + (index == 2 ? 0xc00 : index * 0x400);
}

static int standin_init(struct oracle_standin *s, void __iomem *base)
{
	struct mtk_eth *eth;
	int i;

	s->eth = kzalloc_obj(*eth);
	s->mac = kzalloc_objs(*s->mac, ORACLE_PORTS);
	if (!base)
		s->regs = vzalloc(REGS_SIZE);
	s->skb = alloc_skb(256, GFP_KERNEL);
	if (!s->eth || !s->mac || !(base || s->regs) || !s->skb)
		return -ENOMEM;
	eth = s->eth;
	eth->dev = s->dev;
	eth->dma_dev = s->dev;
	eth->base = base ?: (void __force __iomem *)s->regs;
	oracle_memory = !base;
	eth->soc = standin_soc(s->chip);
	if (!eth->soc)
		return -ENOMEM;
	for (i = 0; i < ORACLE_PORTS; i++) {
		s->mac[i].id = i;
		s->mac[i].hw = eth;
		s->mac[i].ppe_idx = min_t(u8, i, s->chip->ppe_num - 1);
	}

	for (i = 0; i < s->chip->ppe_num; i++) {
		eth->ppe[i] = mtk_ppe_init(eth, ppe_base(s, i), i);
		if (!eth->ppe[i])
			return -ENOMEM;
	}
	if (mtk_eth_offload_init(eth, 0))
		return -ENOMEM;
	/* Looked at for bridged flows only, when no routed flow is found. */
	skb_reserve(s->skb, 64);
	skb_put_zero(s->skb, 64);
	skb_reset_mac_header(s->skb);
	skb_pull(s->skb, ETH_HLEN);
	s->skb->protocol = htons(ETH_P_IP);
	for (i = 0; i < s->chip->ppe_num; i++)
		mtk_ppe_start(eth->ppe[i]);
	return 0;
}

struct oracle_standin *oracle_standin_bare(const struct oracle_chip *chip,
					   struct device *dev, void __iomem *base)
{
	struct oracle_standin *s = kzalloc_obj(*s);

	if (!s)
		return NULL;
	s->chip = chip;
	s->dev = dev;
	standin = s;
	if (!dev) {
		s->faux = faux_device_create("nft_offload_oracle", NULL, NULL);
		if (!s->faux)
			goto free;
		s->dev = &s->faux->dev;
		s->dev->dma_mask = &s->dev->coherent_dma_mask;
	}
	if (dma_set_mask_and_coherent(s->dev, DMA_BIT_MASK(32)) || standin_init(s, base))
		goto free;
	return s;

free:
	oracle_standin_free(s);
	return NULL;
}

struct oracle_standin *oracle_standin_new(const struct oracle_chip *chip)
{
	struct oracle_standin *s = oracle_standin_bare(chip, NULL, NULL);
	int i;

	if (!s)
		return NULL;
	for (i = 0; i < chip->ports; i++) {
		s->own[i] = standin_netdev(i, &standin_ops);
		if (!s->own[i])
			goto free;
		oracle_set_port(s, i, s->own[i]);
	}
	s->foreign = standin_netdev(ORACLE_PORTS, &foreign_ops);
	s->user = standin_netdev(ORACLE_PORTS + 1, &foreign_ops);
	if (!s->foreign || !s->user)
		goto free;
	cpu_port.conduit = s->port[0];
	s->skb->dev = s->port[0];
	return s;

free:
	oracle_standin_free(s);
	return NULL;
}

static void forget_flow(void *ptr, void *arg)
{
	struct mtk_flow_entry *entry = ptr;
	struct oracle_standin *s = arg;

	mtk_foe_entry_clear(oracle_ref_ppe(s, entry), entry);
	kfree(entry);
}

void oracle_standin_free(struct oracle_standin *s)
{
	int i;

	if (s->eth) {
		if (s->eth->flow_table.tbl)
			rhashtable_free_and_destroy(&s->eth->flow_table, forget_flow, s);
		for (i = 0; i < s->chip->ppe_num; i++)
			mtk_ppe_stop(s->eth->ppe[i]);
		mtk_ppe_deinit(s->eth);
		kfree(s->eth->soc);
	}
	kfree_skb(s->skb);
	standin_netdev_free(s->user);
	standin_netdev_free(s->foreign);
	for (i = 0; i < ORACLE_PORTS; i++)
		standin_netdev_free(s->own[i]);
	/* The tables go with the device. */
	if (s->faux)
		faux_device_destroy(s->faux);
	kfree(s->mac);
	kfree(s->eth);
	vfree(s->regs);
	standin = NULL;
	kfree(s);
}

void oracle_ports_of(const struct oracle_standin *s, struct oracle_ports *ports)
{
	static const u8 pse[] = { PSE_GDM1_PORT, PSE_GDM2_PORT, PSE_GDM3_PORT };
	int i;

	memset(ports, 0, sizeof(*ports));
	for (i = 0; i < s->chip->ports; i++) {
		if (!s->port[i])
			continue;
		ports->ifindex[ports->count] = s->port[i]->ifindex;
		ports->pse[ports->count++] = pse[i];
	}
	if (s->user) {
		ports->switch_ifindex = s->user->ifindex;
		ports->switch_pse = pse[0];
	}
}

void oracle_set_clock(struct oracle_standin *s, u32 seconds)
{
	writel(seconds, s->eth->base + FE_CLOCK);
}

static int ref_cmd(struct oracle_standin *s, struct flow_cls_offload *cls,
		   enum flow_cls_command command, unsigned long cookie)
{
	cls->command = command;
	cls->cookie = cookie;
	return mtk_flow_offload_cmd(s->eth, cls, 0);
}

int oracle_ref_replace(struct oracle_standin *s, unsigned long cookie,
		       struct flow_rule *rule)
{
	struct netlink_ext_ack extack = {};
	struct flow_cls_offload cls = {
		.rule = rule,
		/* Not in network byte order, as the kernel's flowtable has it. */
		.common.protocol = (__force __be16)ETH_P_ALL,
		.common.extack = &extack,
	};

	return ref_cmd(s, &cls, FLOW_CLS_REPLACE, cookie);
}

int oracle_ref_destroy(struct oracle_standin *s, unsigned long cookie)
{
	struct flow_cls_offload cls = {};

	return ref_cmd(s, &cls, FLOW_CLS_DESTROY, cookie);
}

int oracle_ref_stats(struct oracle_standin *s, unsigned long cookie,
		     u64 *packets, u64 *bytes)
{
	struct flow_cls_offload cls = {};
	int err = ref_cmd(s, &cls, FLOW_CLS_STATS, cookie);

	*packets = cls.stats.pkts;
	*bytes = cls.stats.bytes;
	return err;
}

struct mtk_flow_entry *oracle_ref_find(struct oracle_standin *s,
				       unsigned long cookie)
{
	return rhashtable_lookup_fast(&s->eth->flow_table, &cookie, flow_params);
}

struct mtk_ppe *oracle_ref_ppe(struct oracle_standin *s,
			       const struct mtk_flow_entry *entry)
{
	return s->eth->ppe[entry->ppe_index];
}

u32 *oracle_ref_slot(struct mtk_ppe *ppe, u16 slot)
{
	return (u32 *)mtk_foe_get_entry(ppe, slot);
}

void oracle_ref_learn(struct oracle_standin *s, struct mtk_ppe *ppe, u16 slot,
		      const u32 *key, unsigned int key_words, bool udp, u32 fill)
{
	unsigned int words = s->chip->entry_size / sizeof(u32);
	u32 *entry = oracle_ref_slot(ppe, slot);
	unsigned int i;

	for (i = 1; i < words; i++)
		entry[i] = i <= key_words ? key[i - 1] : fill * i;
	/* The bits of the type are the packet count's until it is bound. */
	entry[0] = FIELD_PREP(MTK_FOE_IB1_STATE, MTK_FOE_STATE_UNBIND) |
		   FIELD_PREP(MTK_FOE_IB1_UDP, udp) |
		   FIELD_PREP(MTK_FOE_IB1_UNBIND_PACKETS, 30) |
		   (fill & MTK_FOE_IB1_UNBIND_TIMESTAMP);
}

void oracle_ref_check(struct oracle_standin *s, struct mtk_ppe *ppe, u16 slot)
{
	__mtk_ppe_check_skb(ppe, s->skb, slot);
}
