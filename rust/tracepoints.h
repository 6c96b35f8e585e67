/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tracepoints. Documentation/ABI/testing/tracepoints-nft_offload says what
 * they are for. Addresses are there for programs (saddr, …) and, as debugfs has
 * them, for people and filters (orig, new), which cannot compare arrays of bytes.
 * Texts are arrays, as not every tool reads strings of variable length. Each
 * event is a global symbol of the kernel (__tracepoint_<event>), so its name has
 * the module's as prefix.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM nft_offload

#if !defined(_NFT_OFFLOAD_TRACEPOINTS_H) || defined(TRACE_HEADER_MULTI_READ)
#define _NFT_OFFLOAD_TRACEPOINTS_H

#include <linux/string.h>
#include <linux/tracepoint.h>

#include "helpers/helpers.h"

/* Numbers, since tools that read the format know no names. */
#define nft_offload_show_protocol(protocol) \
	__print_symbolic(protocol, { 6, "tcp" }, { 17, "udp" })

DECLARE_EVENT_CLASS(nft_offload_flow,
	TP_PROTO(const struct nft_offload_trace_flow *flow),
	TP_ARGS(flow),
	TP_STRUCT__entry(
		__array(char, device, NFT_OFFLOAD_TRACE_NAME)
		__field(u32, slot)
		__field(u32, owner)
		__field(u16, family)
		__field(u8, protocol)
		__array(u8, saddr, 16)
		__array(u8, daddr, 16)
		__field(u16, sport)
		__field(u16, dport)
		__array(u8, new_saddr, 16)
		__array(u8, new_daddr, 16)
		__field(u16, new_sport)
		__field(u16, new_dport)
		__array(char, orig, NFT_OFFLOAD_TRACE_TUPLE)
		__array(char, new, NFT_OFFLOAD_TRACE_TUPLE)
		__field(u8, in_port)
		__field(u8, out_port)
		__field(u64, packets)
		__field(u64, bytes)
		__field(u64, idle_ms)
		__array(char, why, NFT_OFFLOAD_TRACE_WORD)
	),
	TP_fast_assign(
		memcpy(__entry->device, flow->device, sizeof(flow->device));
		__entry->slot = flow->slot;
		__entry->owner = flow->owner;
		__entry->family = flow->orig.family;
		__entry->protocol = flow->orig.protocol;
		memcpy(__entry->saddr, flow->orig.saddr, sizeof(flow->orig.saddr));
		memcpy(__entry->daddr, flow->orig.daddr, sizeof(flow->orig.daddr));
		__entry->sport = flow->orig.sport;
		__entry->dport = flow->orig.dport;
		memcpy(__entry->new_saddr, flow->new.saddr, sizeof(flow->new.saddr));
		memcpy(__entry->new_daddr, flow->new.daddr, sizeof(flow->new.daddr));
		__entry->new_sport = flow->new.sport;
		__entry->new_dport = flow->new.dport;
		memcpy(__entry->orig, flow->orig.text, sizeof(flow->orig.text));
		memcpy(__entry->new, flow->new.text, sizeof(flow->new.text));
		__entry->in_port = flow->in_port;
		__entry->out_port = flow->out_port;
		__entry->packets = flow->packets;
		__entry->bytes = flow->bytes;
		__entry->idle_ms = flow->idle_ms;
		memcpy(__entry->why, flow->why, sizeof(flow->why));
	),
	TP_printk("device=%s slot=%05x proto=%s orig=%s new=%s in=%u out=%u packets=%llu bytes=%llu idle_ms=%llu owner=%u why=%s",
		__entry->device, __entry->slot,
		nft_offload_show_protocol(__entry->protocol),
		__entry->orig, __entry->new, __entry->in_port, __entry->out_port,
		__entry->packets, __entry->bytes, __entry->idle_ms,
		__entry->owner, __entry->why)
);

DEFINE_EVENT(nft_offload_flow, nft_offload_bind,
	TP_PROTO(const struct nft_offload_trace_flow *flow),
	TP_ARGS(flow));

DEFINE_EVENT(nft_offload_flow, nft_offload_unbind,
	TP_PROTO(const struct nft_offload_trace_flow *flow),
	TP_ARGS(flow));

DEFINE_EVENT(nft_offload_flow, nft_offload_evict,
	TP_PROTO(const struct nft_offload_trace_flow *flow),
	TP_ARGS(flow));

TRACE_EVENT(nft_offload_reject,
	TP_PROTO(const struct nft_offload_trace_reject *reject),
	TP_ARGS(reject),
	TP_STRUCT__entry(
		__array(char, device, NFT_OFFLOAD_TRACE_NAME)
		__array(char, reason, NFT_OFFLOAD_TRACE_NAME)
		__array(char, in_dev, NFT_OFFLOAD_TRACE_WORD)
		__array(char, out_dev, NFT_OFFLOAD_TRACE_WORD)
		__field(u32, owner)
		__field(u16, family)
		__field(u8, protocol)
		__array(u8, saddr, 16)
		__array(u8, daddr, 16)
		__field(u16, sport)
		__field(u16, dport)
		__array(char, orig, NFT_OFFLOAD_TRACE_TUPLE)
	),
	TP_fast_assign(
		memcpy(__entry->device, reject->device, sizeof(reject->device));
		memcpy(__entry->reason, reject->reason, sizeof(reject->reason));
		memcpy(__entry->in_dev, reject->in_dev, sizeof(reject->in_dev));
		memcpy(__entry->out_dev, reject->out_dev, sizeof(reject->out_dev));
		__entry->owner = reject->owner;
		__entry->family = reject->orig.family;
		__entry->protocol = reject->orig.protocol;
		memcpy(__entry->saddr, reject->orig.saddr, sizeof(reject->orig.saddr));
		memcpy(__entry->daddr, reject->orig.daddr, sizeof(reject->orig.daddr));
		__entry->sport = reject->orig.sport;
		__entry->dport = reject->orig.dport;
		memcpy(__entry->orig, reject->orig.text, sizeof(reject->orig.text));
	),
	TP_printk("device=%s reason=%s proto=%s orig=%s in=%s out=%s owner=%u",
		__entry->device, __entry->reason,
		nft_offload_show_protocol(__entry->protocol),
		__entry->orig, __entry->in_dev, __entry->out_dev, __entry->owner)
);

TRACE_EVENT(nft_offload_quarantine,
	TP_PROTO(const struct nft_offload_trace_quarantine *engine),
	TP_ARGS(engine),
	TP_STRUCT__entry(
		__array(char, device, NFT_OFFLOAD_TRACE_NAME)
		__array(char, chip, NFT_OFFLOAD_TRACE_WORD)
	),
	TP_fast_assign(
		memcpy(__entry->device, engine->device, sizeof(engine->device));
		memcpy(__entry->chip, engine->chip, sizeof(engine->chip));
	),
	TP_printk("device=%s chip=%s", __entry->device, __entry->chip)
);

#endif

/* Read again by the next line, from the directory that Kbuild names. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH rust
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE tracepoints
#include <trace/define_trace.h>
