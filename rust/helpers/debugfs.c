// SPDX-License-Identifier: GPL-2.0-only

#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "helpers.h"

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
