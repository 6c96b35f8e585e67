// SPDX-License-Identifier: GPL-2.0-only
//! See [`nft_offload_fuzz::model`].

#![cfg_attr(fuzzing, no_main)]

nft_offload_fuzz::target!(nft_offload_fuzz::model::run);
