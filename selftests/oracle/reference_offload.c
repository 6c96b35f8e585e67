// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's mtk_ppe_offload.c as it is, from the kernel tree. Debian's
 * kernel has no DSA, so that the layout of a net device has no place for it;
 * the headers are therefore read as the kernel is configured, and only the
 * driver is told that there is DSA. It then asks dsa_port_from_netdev(), which
 * the stand-in answers, as it does for the driver's data of a net device.
 */
#include <linux/if_ether.h>
#include <linux/rhashtable.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/flow_offload.h>
#include <net/pkt_cls.h>
#include <net/dsa.h>

#include "mtk_eth_soc.h"
#include "mtk_wed.h"
#include "standin.h"

#define dsa_port_from_netdev oracle_dsa_port
#define netdev_priv oracle_mac

#ifndef CONFIG_NET_DSA
#define CONFIG_NET_DSA 1
#endif

#include "mtk_ppe_offload.c"
