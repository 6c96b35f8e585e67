// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs when it is loaded, or listens until it is unloaded; the report is
 * nft_offload_oracle in debugfs.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/vmalloc.h>

#include "compare.h"
#include "modes.h"
#include "ours.h"
#include "report.h"
#include "standin.h"

#define REPORT_SIZE	SZ_1M

static unsigned long long seed = 1;
module_param(seed, ullong, 0444);
MODULE_PARM_DESC(seed, "of the random rules");

static unsigned int count = 20000;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "of rules per chip");

static char *chips[8];
static int num_chips;
module_param_array(chips, charp, &num_chips, 0444);
MODULE_PARM_DESC(chips, "that are compared, separated by commas; default: all");

static bool bench;
module_param(bench, bool, 0444);
MODULE_PARM_DESC(bench, "measure instead of comparing");

static char *capture[ORACLE_PORTS];
static int num_capture;
module_param_array(capture, charp, &num_capture, 0444);
MODULE_PARM_DESC(capture, "net devices of the chip's ports, separated by commas: compare rules of the kernel's flowtables instead of random ones, with the chip of chips=");

static bool drive;
module_param(drive, bool, 0444);
MODULE_PARM_DESC(drive, "let the kernel's driver drive the emulated board");

static bool claim;
module_param(claim, bool, 0444);
MODULE_PARM_DESC(claim, "have the registers of the emulated board, so that nobody else gets them");

static char *hostile[ORACLE_PORTS];
static int num_hostile;
module_param_array(hostile, charp, &num_hostile, 0444);
MODULE_PARM_DESC(hostile, "net devices of the chip's ports, separated by commas: give nft_offload rules that it cannot make sense of, count= commands on each CPU");

static unsigned int storm;
module_param(storm, uint, 0444);
MODULE_PARM_DESC(storm, "with hostile=: for so many seconds rules that make sense, and nothing else");

static unsigned int slow;
module_param(slow, uint, 0444);
MODULE_PARM_DESC(slow, "milliseconds that pass between what the kernel tells of a route and the change itself");

static unsigned int slow_offers;
module_param(slow_offers, uint, 0444);
MODULE_PARM_DESC(slow_offers, "milliseconds that the kernel needs to offer a direction of a flow; flowtables that exist already are not slow");

static struct debugfs_blob_wrapper blob;
static struct dentry *file;
static unsigned int points;

void oracle_print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	blob.size += vscnprintf(blob.data + blob.size, REPORT_SIZE - blob.size, fmt, args);
	va_end(args);
}

unsigned int oracle_next_point(void)
{
	return ++points;
}

void oracle_report(struct seq_file *m)
{
	seq_write(m, blob.data, blob.size);
}

static bool wanted(const char *name)
{
	int i;

	for (i = 0; i < num_chips; i++)
		if (!*chips[i] || !strcmp(chips[i], name))
			return true;
	return !num_chips;
}

static void run(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < oracle_num_chips; i++)
		n += wanted(oracle_chips[i].name);
	if (!bench)
		oracle_print("TAP version 13\n1..%u\n# seed %llu, %u rules per chip\n",
			     n * 2 * ORACLE_POINTS, seed, count);
	for (i = 0; i < oracle_num_chips; i++) {
		if (!wanted(oracle_chips[i].name))
			continue;
		if (bench) {
			oracle_bench(&oracle_chips[i], seed);
			continue;
		}
		oracle_compare(&oracle_chips[i], &oracle_routed, seed, count);
		oracle_compare(&oracle_chips[i], &oracle_bridged, seed, count);
	}
	if (blob.size + 1 == REPORT_SIZE)
		pr_err("nft_offload_oracle: the report is cut off\n");
}

DEFINE_SHOW_ATTRIBUTE(oracle_capture);
DEFINE_SHOW_ATTRIBUTE(oracle_drive);

static int start_capture(void)
{
	unsigned int i;

	for (i = 0; i < oracle_num_chips; i++)
		if (num_chips && !strcmp(oracle_chips[i].name, chips[0]))
			return oracle_capture_start(&oracle_chips[i], capture, num_capture);
	return -EINVAL;
}

static int __init oracle_init(void)
{
	const struct file_operations *fops = NULL;
	int err = 0;

	blob.data = vzalloc(REPORT_SIZE);
	if (!blob.data)
		return -ENOMEM;
	if (num_capture) {
		err = start_capture();
		fops = &oracle_capture_fops;
	} else if (drive) {
		err = oracle_drive_start();
		fops = &oracle_drive_fops;
	} else if (claim) {
		err = oracle_claim_start();
	} else if (num_hostile) {
		err = oracle_hostile(hostile, num_hostile, seed, count, storm);
	} else if (slow) {
		err = oracle_slow_start(slow);
	} else if (slow_offers) {
		err = oracle_slow_offers_start(slow_offers);
	} else {
		run();
	}
	if (err)
		vfree(blob.data);
	else if (fops)
		file = debugfs_create_file("nft_offload_oracle", 0400, NULL, NULL, fops);
	else
		file = debugfs_create_blob("nft_offload_oracle", 0400, NULL, &blob);
	return err;
}

static void __exit oracle_exit(void)
{
	debugfs_remove(file);
	if (num_capture)
		oracle_capture_stop();
	else if (drive)
		oracle_drive_stop();
	else if (claim)
		oracle_claim_stop();
	else if (slow)
		oracle_slow_stop();
	else if (slow_offers)
		oracle_slow_offers_stop();
	vfree(blob.data);
}

module_init(oracle_init);
module_exit(oracle_exit);

MODULE_AUTHOR("The nft_offload developers");
MODULE_DESCRIPTION("Compares nft_offload with the kernel's driver of the same engines");
MODULE_LICENSE("GPL");
