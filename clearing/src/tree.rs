//! A treap from price to a summable value: insert, change and prefix sum in O(log levels).
//!
//! Nodes live in one arena and carry the sum of their subtree only (their own value is that minus the children's),
//! so a level of the step tree is one 64-byte cache line. The heap priority is a hash of the price: the shape of the
//! tree is a function of its keys alone, whatever the order of insertion, and needs no random source.
//! State: one node per price level with a non-zero value; freed nodes are reused.

use std::ops::{Add, Sub};

const NIL: u32 = u32::MAX;

/// What a level holds: an abelian group with `Default` as zero.
pub(crate) trait Summable: Copy + Default + Eq + Add<Output = Self> + Sub<Output = Self> {}

#[derive(Clone, Debug)]
struct Node<V> {
    sum: V,
    price: i64,
    left: u32,
    right: u32,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Tree<V> {
    nodes: Vec<Node<V>>,
    free: Vec<u32>,
    root: u32,
}

impl<V: Summable> Default for Tree<V> {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NIL }
    }
}

/// splitmix64: a bijection that scatters neighbouring prices.
fn priority(price: i64) -> u64 {
    let mut z = price.cast_unsigned().wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl<V: Summable> Tree<V> {
    /// Levels held.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Bytes of the arena, per the nodes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node<V>>() + self.free.capacity() * size_of::<u32>()
    }

    pub(crate) fn total(&self) -> V {
        self.sum(self.root)
    }

    /// Add `delta` at `price`; a level that becomes zero goes. One descent.
    pub(crate) fn add(&mut self, price: i64, delta: V) {
        if delta == V::default() {
            return;
        }
        let rank = (priority(price), price);
        let (mut at, mut parent) = (self.root, None);
        while at != NIL {
            let here = self.nodes[at as usize].price;
            if here == price {
                if self.own(at) + delta == V::default() {
                    let rest = self.merge(self.nodes[at as usize].left, self.nodes[at as usize].right);
                    self.free.push(at);
                    self.hang(parent, rest);
                } else {
                    let node = &mut self.nodes[at as usize];
                    node.sum = node.sum + delta;
                }
                return;
            }
            // A level of higher rank is not below this one: it is new, and belongs here.
            if rank > (priority(here), here) {
                break;
            }
            // Whatever becomes of the level below, this is what its sum changes by.
            let node = &mut self.nodes[at as usize];
            node.sum = node.sum + delta;
            let is_left = price < here;
            parent = Some((at, is_left));
            at = if is_left { node.left } else { node.right };
        }
        let (left, right) = self.split(at, price);
        let sum = delta + self.sum(left) + self.sum(right);
        let new = self.store(Node { sum, price, left, right });
        self.hang(parent, new);
    }

    /// Sum over levels with price <= `price`.
    pub(crate) fn prefix(&self, price: i64) -> V {
        let mut sum = V::default();
        let mut at = self.root;
        while at != NIL {
            let node = &self.nodes[at as usize];
            if node.price <= price {
                sum = sum + (node.sum - self.sum(node.right));
                at = node.right;
            } else {
                at = node.left;
            }
        }
        sum
    }

    /// The lowest level for which `reached(price, sum of levels <= price)` holds, with the sums below and up to it.
    /// `reached` must be monotone in price. One descent.
    pub(crate) fn first(&self, mut reached: impl FnMut(i64, V) -> bool) -> Option<(i64, V, V)> {
        let mut below = V::default();
        let mut found = None;
        let mut at = self.root;
        while at != NIL {
            let node = &self.nodes[at as usize];
            let upto = below + (node.sum - self.sum(node.right));
            if reached(node.price, upto) {
                found = Some((node.price, upto - self.own(at), upto));
                at = node.left;
            } else {
                below = upto;
                at = node.right;
            }
        }
        found
    }

    /// The greatest level below `price`.
    pub(crate) fn before(&self, price: i64) -> Option<i64> {
        let mut found = None;
        let mut at = self.root;
        while at != NIL {
            let node = &self.nodes[at as usize];
            if node.price < price {
                found = Some(node.price);
                at = node.right;
            } else {
                at = node.left;
            }
        }
        found
    }

    /// Levels in ascending price with their own values. O(levels), stack of the tree's depth.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, V)> + '_ {
        let mut stack = Vec::new();
        let mut at = self.root;
        std::iter::from_fn(move || {
            while at != NIL {
                stack.push(at);
                at = self.nodes[at as usize].left;
            }
            let here = stack.pop()?;
            at = self.nodes[here as usize].right;
            Some((self.nodes[here as usize].price, self.own(here)))
        })
    }

    fn sum(&self, at: u32) -> V {
        if at == NIL { V::default() } else { self.nodes[at as usize].sum }
    }

    fn own(&self, at: u32) -> V {
        let node = &self.nodes[at as usize];
        node.sum - self.sum(node.left) - self.sum(node.right)
    }

    /// Makes a node the left or right child of a parent, or the root.
    fn hang(&mut self, parent: Option<(u32, bool)>, child: u32) {
        match parent {
            None => self.root = child,
            Some((parent, true)) => self.nodes[parent as usize].left = child,
            Some((parent, false)) => self.nodes[parent as usize].right = child,
        }
    }

    fn store(&mut self, node: Node<V>) -> u32 {
        if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            return at;
        }
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 levels")
    }

    /// Split into prices below and above `price` (which is in neither).
    fn split(&mut self, at: u32, price: i64) -> (u32, u32) {
        if at == NIL {
            return (NIL, NIL);
        }
        let own = self.own(at);
        if self.nodes[at as usize].price < price {
            let (left, right) = self.split(self.nodes[at as usize].right, price);
            self.nodes[at as usize].right = left;
            self.nodes[at as usize].sum = own + self.sum(self.nodes[at as usize].left) + self.sum(left);
            (at, right)
        } else {
            let (left, right) = self.split(self.nodes[at as usize].left, price);
            self.nodes[at as usize].left = right;
            self.nodes[at as usize].sum = own + self.sum(right) + self.sum(self.nodes[at as usize].right);
            (left, at)
        }
    }

    fn merge(&mut self, left: u32, right: u32) -> u32 {
        if left == NIL || right == NIL {
            return if left == NIL { right } else { left };
        }
        let sum = self.sum(left) + self.sum(right);
        let rank = |price: i64| (priority(price), price);
        if rank(self.nodes[left as usize].price) > rank(self.nodes[right as usize].price) {
            let child = self.merge(self.nodes[left as usize].right, right);
            self.nodes[left as usize].right = child;
            self.nodes[left as usize].sum = sum;
            left
        } else {
            let child = self.merge(left, self.nodes[right as usize].left);
            self.nodes[right as usize].left = child;
            self.nodes[right as usize].sum = sum;
            right
        }
    }
}
