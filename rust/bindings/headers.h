/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The C interfaces that the kernel crate does not cover. Read by bindgen, not
 * compiled.
 */

#include <linux/debugfs.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>
#include <net/dsa.h>
#include <net/flow_dissector.h>
#include <net/flow_offload.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_conntrack_tuple.h>

#include "../helpers/helpers.h"
#include "../helpers/fwd_events.h"
#include "../tracepoints.h"
