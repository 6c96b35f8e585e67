/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stand-in for the Ethernet driver around the kernel's PPE driver: chips,
 * net devices, registers, and what the hardware does between REPLACE and an
 * entry in the table. There is one at a time.
 */
#ifndef NFT_OFFLOAD_ORACLE_STANDIN_H
#define NFT_OFFLOAD_ORACLE_STANDIN_H

#include <linux/io.h>
#include <linux/types.h>

struct device;
struct dsa_port;
struct faux_device;
struct flow_rule;
struct mtk_eth;
struct mtk_flow_entry;
struct mtk_mac;
struct mtk_ppe;
struct net_device;
struct oracle_ports;

/* Net devices a chip has: its own, and one that is nobody's. */
#define ORACLE_PORTS	3

/* A chip, as the kernel's driver has it in its own table. */
struct oracle_chip {
	const char *name;
	/* Its number for nft_offload: the digits of the name. */
	u32 id;
	u8 version;
	u8 offload_version;
	u8 ppe_num;
	u8 ways;
	u8 ports;
	u16 entry_size;
	bool accounting;
};

extern const struct oracle_chip oracle_chips[];
extern const unsigned int oracle_num_chips;

struct oracle_standin {
	const struct oracle_chip *chip;
	struct mtk_eth *eth;
	/* The engine's, or one made for its registers and tables in memory. */
	struct device *dev;
	struct faux_device *faux;
	void *regs;
	/* The driver's of each port, whatever device that is. */
	struct mtk_mac *mac;
	struct net_device *port[ORACLE_PORTS];
	/* Those that were made for it. */
	struct net_device *own[ORACLE_PORTS];
	struct net_device *foreign;
	/* A user port of a switch behind port[0]. */
	struct net_device *user;
	struct sk_buff *skb;
};

/* With registers in memory, and net devices of its own. */
struct oracle_standin *oracle_standin_new(const struct oracle_chip *chip);
/*
 * Without net devices: oracle_set_port() gives it those that are there. Its
 * registers are @base, of an engine that is @dev, or memory if that is NULL.
 */
struct oracle_standin *oracle_standin_bare(const struct oracle_chip *chip,
					   struct device *dev, void __iomem *base);
/* Flows that the driver still has are lost, and their entries made invalid. */
void oracle_standin_free(struct oracle_standin *s);

/* Makes @dev the port; NULL leaves it without. The caller keeps the reference. */
void oracle_set_port(struct oracle_standin *s, unsigned int port, struct net_device *dev);

/* Its ports, as nft_offload wants them. */
void oracle_ports_of(const struct oracle_standin *s, struct oracle_ports *ports);

/* Which port of the switch s->user is. */
void oracle_set_switch_port(unsigned int index);

/* Sets the engine's clock. */
void oracle_set_clock(struct oracle_standin *s, u32 seconds);

/* The three commands, as the kernel's flow offload gives them. */
int oracle_ref_replace(struct oracle_standin *s, unsigned long cookie,
		       struct flow_rule *rule);
int oracle_ref_destroy(struct oracle_standin *s, unsigned long cookie);
int oracle_ref_stats(struct oracle_standin *s, unsigned long cookie,
		     u64 *packets, u64 *bytes);

/* What the driver keeps of a flow. */
struct mtk_flow_entry *oracle_ref_find(struct oracle_standin *s,
				       unsigned long cookie);
struct mtk_ppe *oracle_ref_ppe(struct oracle_standin *s,
			       const struct mtk_flow_entry *entry);
u32 *oracle_ref_slot(struct mtk_ppe *ppe, u16 slot);

/*
 * What the hardware does at a flow's first packets: it learns the flow in
 * @slot, from @key (an entry's words from 1 on). @fill is what the rest of the
 * slot holds.
 */
void oracle_ref_learn(struct oracle_standin *s, struct mtk_ppe *ppe, u16 slot,
		      const u32 *key, unsigned int key_words, bool udp, u32 fill);

/* What it does at some more: it tells the driver, which binds the flow. */
void oracle_ref_check(struct oracle_standin *s, struct mtk_ppe *ppe, u16 slot);

struct dsa_port *oracle_dsa_port(struct net_device *dev);
struct mtk_mac *oracle_mac(const struct net_device *dev);

/* Whether registers are memory, and not an engine's. */
extern bool oracle_memory;

/*
 * The driver's writel(). The counters of each PPE are read through a register
 * (MIB_SER_CR) whose start bit the engine clears when it has answered, which
 * memory does not do.
 */
static inline void oracle_writel(u32 value, void __iomem *addr)
{
	if (oracle_memory && ((unsigned long)addr & 0x3ff) == 0x33c)
		value &= ~BIT(16);
	writel(value, addr);
}

#endif
