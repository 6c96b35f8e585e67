// SPDX-License-Identifier: GPL-2.0-only

#include <linux/etherdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_netdev.h>
#include <linux/pci.h>
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/flow_offload.h>

#include "mtk_eth_soc.h"
#include "indirect.h"
#include "modes.h"
#include "standin.h"

/* Documentation/emulated-board.md */
#define BAR_CHIP		0
#define BAR_BOARD		2
#define BOARD_MAGIC		0x00
#define BOARD_VERSION		0x04
#define BOARD_CHIP		0x08
#define BOARD_PORTS		0x0c
#define BOARD_FEATURES		0x10
#define BOARD_PORT(i)		(0x40 + 16 * (i))
#define MAGIC			0x45505056
#define FEATURE_RX_WORDS	BIT(0)
#define RX_WORD_ENTRY		GENMASK(15, 0)
#define RX_WORD_REASON		GENMASK(23, 16)
#define RX_WORD_MARK		GENMASK(31, 24)
#define MARK			0x5a

struct board;

struct port {
	struct board *board;
	struct net_device *dev;
	struct mtk_mac *mac;
	struct nf_hook_ops hook;
	bool hooked;
	/* The forward register of its GDM as it was. */
	u32 forward;
};

struct board {
	struct oracle_standin *standin;
	struct port port[ORACLE_PORTS];
	atomic_t accepted;
	atomic_t refused;
	atomic_t destroyed;
	atomic_t frames;
	/* Frames without a receive word, and those that the driver was asked to look at. */
	atomic_t unmarked;
	atomic_t rate_reached;
};

static struct board *the_board;

/*
 * The Ethernet driver's receive path, for a frame that the engine gave to the
 * CPU: before flowtables and VLAN devices see it. What the receive descriptor
 * would say stands behind the frame.
 */
static unsigned int receive(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct port *port = priv;
	struct board *b = port->board;
	__le32 raw;
	u32 word;

	atomic_inc(&b->frames);
	if (skb->len < sizeof(raw) ||
	    skb_copy_bits(skb, skb->len - sizeof(raw), &raw, sizeof(raw)))
		return NF_DROP;
	word = le32_to_cpu(raw);
	if (FIELD_GET(RX_WORD_MARK, word) != MARK) {
		atomic_inc(&b->unmarked);
		return NF_DROP;
	}
	if (pskb_trim_rcsum(skb, skb->len - sizeof(raw)))
		return NF_DROP;
	if (FIELD_GET(RX_WORD_REASON, word) == MTK_PPE_CPU_REASON_HIT_UNBIND_RATE_REACHED) {
		atomic_inc(&b->rate_reached);
		mtk_ppe_check_skb(b->standin->eth->ppe[port->mac->ppe_idx], skb,
				  FIELD_GET(RX_WORD_ENTRY, word));
	}
	return NF_ACCEPT;
}

static bool drive_wants(const struct net_device *dev, const struct flow_block_offload *bo)
{
	int i;

	for (i = 0; i < ORACLE_PORTS; i++)
		if (the_board->port[i].dev == dev)
			return true;
	return false;
}

/* The driver binds each of its devices, too, and so sees everything as often as they are. */
static int drive_command(struct net *net, struct flow_cls_offload *cls, bool first)
{
	int err = mtk_flow_offload_cmd(the_board->standin->eth, cls, 0);

	if (cls->command == FLOW_CLS_REPLACE && err != -EEXIST)
		atomic_inc(err ? &the_board->refused : &the_board->accepted);
	if (cls->command == FLOW_CLS_DESTROY && !err)
		atomic_inc(&the_board->destroyed);
	return err;
}

static const struct oracle_taker drive_taker = {
	.wants = drive_wants,
	.command = drive_command,
};

/* All frames of a port go to its engine, as mtk_open() has it. */
static void set_gdm(struct oracle_standin *s, struct port *port)
{
	static const u32 to_ppe[] = { 0x3333, 0x4444, 0xcccc };
	u32 reg = MTK_GDMA_FWD_CFG(port->mac->id);

	port->forward = mtk_r32(s->eth, reg);
	writel((port->forward & ~0xffff) | MTK_GDMA_ICS_EN | MTK_GDMA_TCS_EN | MTK_GDMA_UCS_EN |
	       (s->chip->version == 1 ? 0x4444 : to_ppe[port->mac->ppe_idx]), s->eth->base + reg);
}

/* Devices that are stacked on a port may have its address, but not for ever. */
static struct net_device *device_of(const u8 *mac)
{
	struct net_device *dev, *found = NULL;

	rtnl_lock();
	for_each_netdev(&init_net, dev) {
		if (dev->addr_len == ETH_ALEN && ether_addr_equal_unaligned(dev->perm_addr, mac)) {
			dev_hold(dev);
			found = dev;
			break;
		}
	}
	rtnl_unlock();
	return found;
}

static int take_port(struct board *b, const void __iomem *at)
{
	static const u8 pse[ORACLE_PORTS] = { PSE_GDM1_PORT, PSE_GDM2_PORT, PSE_GDM3_PORT };
	__le32 mac[2] = { cpu_to_le32(readl(at + 4)), cpu_to_le32(readl(at + 8)) };
	u32 number = readl(at);
	struct port *port;
	int i, err;

	for (i = 0; i < b->standin->chip->ports; i++)
		if (pse[i] == number)
			break;
	if (i == b->standin->chip->ports || b->port[i].dev)
		return -EINVAL;
	port = &b->port[i];
	port->board = b;
	port->dev = device_of((const u8 *)mac);
	if (!port->dev)
		return -ENODEV;
	oracle_set_port(b->standin, i, port->dev);
	port->mac = b->standin->eth->mac[i];
	set_gdm(b->standin, port);

	port->hook.hook = receive;
	port->hook.priv = port;
	port->hook.dev = port->dev;
	port->hook.pf = NFPROTO_NETDEV;
	port->hook.hooknum = NF_NETDEV_INGRESS;
	port->hook.priority = INT_MIN;
	err = nf_register_net_hook(dev_net(port->dev), &port->hook);
	port->hooked = !err;
	return err;
}

static void free_board(struct board *b)
{
	struct port *port;
	int i;

	for (i = 0; i < ORACLE_PORTS; i++)
		if (b->port[i].hooked)
			nf_unregister_net_hook(dev_net(b->port[i].dev), &b->port[i].hook);
	for (i = 0; i < ORACLE_PORTS; i++) {
		port = &b->port[i];
		if (!port->mac)
			continue;
		writel(port->forward, b->standin->eth->base + MTK_GDMA_FWD_CFG(port->mac->id));
	}
	oracle_standin_free(b->standin);
	for (i = 0; i < ORACLE_PORTS; i++)
		dev_put(b->port[i].dev);
	kfree(b);
}

static const struct oracle_chip *chip_of(u32 id)
{
	unsigned int i;

	for (i = 0; i < oracle_num_chips; i++)
		if (oracle_chips[i].id == id)
			return &oracle_chips[i];
	return NULL;
}

static int take_board(struct pci_dev *pdev, struct board *b, const void __iomem *board)
{
	unsigned int ports = readl(board + BOARD_PORTS), mtu = 0;
	int i, err;

	for (i = 0; i < ports; i++) {
		err = take_port(b, board + BOARD_PORT(i));
		if (err)
			return dev_err_probe(&pdev->dev, err, "port %d\n", i);
	}
	for (i = 0; i < ORACLE_PORTS; i++)
		if (b->port[i].dev)
			mtu = max(mtu, READ_ONCE(b->port[i].dev->mtu));
	for (i = 0; i < b->standin->chip->ppe_num; i++)
		mtk_ppe_update_mtu(b->standin->eth->ppe[i], mtu);
	the_board = b;
	err = oracle_indirect_register(&drive_taker);
	if (err)
		the_board = NULL;
	return err;
}

static int drive_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	const struct oracle_chip *chip;
	void __iomem *regs, *board;
	struct board *b;
	int err;

	if (the_board)
		return -EBUSY;
	err = pcim_enable_device(pdev);
	if (err)
		return err;
	pci_set_master(pdev);
	regs = pcim_iomap_region(pdev, BAR_CHIP, "nft_offload_oracle");
	if (IS_ERR(regs))
		return PTR_ERR(regs);
	board = pcim_iomap_region(pdev, BAR_BOARD, "nft_offload_oracle");
	if (IS_ERR(board))
		return PTR_ERR(board);
	chip = chip_of(readl(board + BOARD_CHIP));
	if (readl(board + BOARD_MAGIC) != MAGIC || readl(board + BOARD_VERSION) != 1 || !chip)
		return -ENODEV;
	if (!(readl(board + BOARD_FEATURES) & FEATURE_RX_WORDS))
		return dev_err_probe(&pdev->dev, -ENODEV, "frames come without receive words\n");

	b = kzalloc_obj(*b);
	if (!b)
		return -ENOMEM;
	b->standin = oracle_standin_bare(chip, &pdev->dev, regs);
	if (!b->standin) {
		kfree(b);
		return -ENOMEM;
	}
	err = take_board(pdev, b, board);
	if (err)
		free_board(b);
	else
		pci_set_drvdata(pdev, b);
	return err;
}

static void drive_remove(struct pci_dev *pdev)
{
	oracle_indirect_unregister();
	the_board = NULL;
	free_board(pci_get_drvdata(pdev));
}

static const struct pci_device_id drive_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x10f7) },
	{ }
};

static struct pci_driver drive_driver = {
	.name = "nft_offload_oracle",
	.id_table = drive_ids,
	.probe = drive_probe,
	.remove = drive_remove,
};

int oracle_drive_show(struct seq_file *m, void *v)
{
	const struct board *b = the_board;

	/* Unplugged. */
	if (!b)
		return -ENODEV;
	seq_printf(m, "chip %s\naccounting %d\naccepted %d\nrefused %d\ndestroyed %d\n",
		   b->standin->chip->name, b->standin->chip->accounting,
		   atomic_read(&b->accepted), atomic_read(&b->refused),
		   atomic_read(&b->destroyed));
	seq_printf(m, "frames %d\nunmarked %d\nrate_reached %d\n", atomic_read(&b->frames),
		   atomic_read(&b->unmarked), atomic_read(&b->rate_reached));
	return 0;
}

static struct pci_dev *claimed;

int oracle_claim_start(void)
{
	int err;

	claimed = pci_get_device(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x10f7, NULL);
	if (!claimed)
		return -ENODEV;
	err = pci_request_region(claimed, BAR_CHIP, "nft_offload_oracle");
	if (err)
		pci_dev_put(claimed);
	return err;
}

void oracle_claim_stop(void)
{
	pci_release_region(claimed, BAR_CHIP);
	pci_dev_put(claimed);
}

int oracle_drive_start(void)
{
	int err = pci_register_driver(&drive_driver);

	if (!err && !the_board) {
		pci_unregister_driver(&drive_driver);
		return -ENODEV;
	}
	return err;
}

void oracle_drive_stop(void)
{
	pci_unregister_driver(&drive_driver);
}
