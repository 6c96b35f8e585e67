// SPDX-License-Identifier: GPL-2.0-only

//! Devices in flowtables.

use super::super::list::Full;
use super::*;

const FT: FlowTableId = FlowTableId(1);
const OTHER: FlowTableId = FlowTableId(2);
const LAN: PsePort = PsePort(1);
const WAN: PsePort = PsePort(2);

/// Ends a binding. Returns whether it was the last of its flowtable.
fn unbind(blocks: &mut Blocks<TestHost>, binding: &Binding) -> Option<bool> {
    let last = blocks.is_last(binding);
    blocks.unbind(binding);
    last
}

#[test]
fn the_first_device_of_a_flowtable_handles_its_rules() {
    let mut blocks = Blocks::<TestHost>::new().unwrap();
    let lan = blocks.bind(FT, LAN, true).unwrap();
    let other = blocks.bind(OTHER, LAN, false).unwrap();
    let wan = blocks.bind(FT, WAN, true).unwrap();
    assert_eq!(lan.owner, wan.owner);
    assert_ne!(lan.owner, other.owner);
    assert_eq!(lan.to, BoundTo::FlowTable);
    assert_eq!(blocks.owner_of(FT), Some(lan.owner));
    assert_eq!(
        [&lan, &wan, &other].map(|b| blocks.is_first(b)),
        [true, false, true]
    );
    assert_eq!(
        (blocks.count(), blocks.count_of(LAN), blocks.count_of(WAN)),
        (2, 2, 1)
    );

    assert_eq!(unbind(&mut blocks, &lan), Some(false));
    assert!(blocks.is_first(&wan) && !blocks.is_first(&lan));
    assert_eq!(unbind(&mut blocks, &wan), Some(true));
    assert_eq!(unbind(&mut blocks, &wan), None);
    assert_eq!(blocks.owner_of(FT), None);
    assert!(blocks.has(other.owner) && !blocks.has(wan.owner));
    // A flowtable at the same address is another one.
    let again = blocks.bind(FT, LAN, true).unwrap();
    assert_ne!(again.owner, lan.owner);
}

#[test]
fn a_flowtable_may_begin_to_count() {
    let mut blocks = Blocks::<TestHost>::new().unwrap();
    let lan = blocks.bind(FT, LAN, false).unwrap();
    let wan = blocks.bind(FT, WAN, false).unwrap();
    let other = blocks.bind(OTHER, LAN, false).unwrap();
    let counts = |blocks: &Blocks<_>| [lan, other].map(|it| blocks.has_counter(it.owner));
    assert_eq!(counts(&blocks), [false, false]);
    blocks.set_counter(wan.owner, true);
    assert_eq!(counts(&blocks), [true, false]);
    // Whichever of its devices is left.
    blocks.unbind(&lan);
    assert_eq!(counts(&blocks), [true, false]);
    blocks.set_counter(wan.owner, false);
    assert_eq!(counts(&blocks), [false, false]);
    blocks.unbind(&wan);
    assert!(!blocks.has_counter(wan.owner));
}

#[test]
fn a_device_bound_twice_counts_once() {
    let mut blocks = Blocks::<TestHost>::new().unwrap();
    let [one, two] = [(); 2].map(|()| blocks.bind(FT, LAN, true).unwrap());
    assert_eq!((blocks.count(), blocks.count_of(LAN)), (1, 1));
    assert_eq!(unbind(&mut blocks, &one), Some(false));
    assert!(blocks.is_first(&two));
}

#[test]
fn rules_of_tc_are_of_no_flowtable() {
    let mut blocks = Blocks::<TestHost>::new().unwrap();
    let [one, two] = [(); 2].map(|()| blocks.bind_ingress(LAN).unwrap());
    assert_ne!(one.owner, two.owner);
    assert_eq!((one.to, blocks.count()), (BoundTo::Ingress, 0));
    assert!(!blocks.has(one.owner) && !blocks.is_first(&one));
    assert_eq!(unbind(&mut blocks, &one), None);
}

#[test]
fn there_is_room_for_so_many() {
    let mut blocks = Blocks::<TestHost>::new().unwrap();
    let first = blocks.bind(FT, LAN, false).unwrap();
    for _ in 1..MAX_BINDINGS {
        blocks.bind(FT, WAN, false).unwrap();
    }
    assert_eq!(blocks.bind(OTHER, WAN, false), Err(Full));
    assert_eq!(unbind(&mut blocks, &first), Some(false));
    assert!(blocks.bind(OTHER, WAN, false).is_ok());
}
