//! Against what others published: the vectors of Certificate Transparency (RFC 6962), of Go's `sumdb/note` (C2SP `signed-note`),
//! and the examples in C2SP `tlog-tiles`.

use provenv_ledger::{
    Checkpoint, Hash, Node, NoteError, ProofError, PublicKey, Range, SigningKey, Tile, bundle,
    check_consistency, check_inclusion, consistency, hash_of, inclusion, nodes_of, open, sign, unbundle,
};

/// The entries of the reference tree.
const ENTRIES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
/// Its root with one entry, with two, and so on.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hash(text: &str) -> Hash {
    Hash::from_bytes(hex::decode(text).unwrap().try_into().unwrap())
}

fn leaf(number: usize) -> Hash {
    Hash::leaf(&hex::decode(ENTRIES[number]).unwrap())
}

fn node(node: Node) -> Hash {
    if node.level == 0 {
        return leaf(usize::try_from(node.place).unwrap());
    }
    let below = |side| Node { level: node.level - 1, place: node.place * 2 + side };
    Hash::inner(&self::node(below(0)), &self::node(below(1)))
}

fn over(range: Range) -> Hash {
    hash_of(&nodes_of(range).into_iter().map(node).collect::<Vec<_>>())
}

fn path(ranges: Vec<Range>) -> Vec<Hash> {
    ranges.into_iter().map(over).collect()
}

#[test]
fn roots_are_those_of_the_reference_tree() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(over(Range::whole(0)), hash(empty));
    for (size, root) in (1..).zip(ROOTS) {
        assert_eq!(over(Range::whole(size)), hash(root), "{size}");
    }
}

#[test]
fn proofs_are_those_of_the_reference_tree() {
    let of_five = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(path(inclusion(5, 8)), of_five.map(hash));
    check_inclusion(&leaf(5), 5, 8, &of_five.map(hash), &hash(ROOTS[7])).unwrap();
    assert_eq!(check_inclusion(&leaf(5), 4, 8, &of_five.map(hash), &hash(ROOTS[7])), Err(ProofError::Root));
    assert_eq!(path(inclusion(2, 3)), [hash(ROOTS[1])]);

    let six_to_eight = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(path(consistency(6, 8)), six_to_eight.map(hash));
    let two_to_five = [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ];
    assert_eq!(path(consistency(2, 5)), two_to_five.map(hash));
    check_consistency((2, &hash(ROOTS[1])), (5, &hash(ROOTS[4])), &two_to_five.map(hash)).unwrap();
}

/// The key and the note of Go's documentation.
const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PRIVATE: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const SIGNED: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn notes_are_those_of_the_reference() {
    let key: PublicKey = KEY.parse().unwrap();
    assert_eq!(key.to_string(), KEY);
    assert_eq!(open(SIGNED, std::slice::from_ref(&key)).unwrap(), TEXT);
    let private: SigningKey = PRIVATE.parse().unwrap();
    assert_eq!(private.public(), &key);
    assert_eq!(private.to_text(), PRIVATE);
    assert_eq!(sign(TEXT, &private), SIGNED);

    let changed = SIGNED.replace("know what", "know  what");
    let keys = [key];
    assert_eq!(open(&changed, &keys), Err(NoteError::Signature("PeterNeumann".to_owned())));
    let other = SigningKey::generate("somebody").unwrap();
    let both = format!("{SIGNED}{}", sign(TEXT, &other).rsplit_once("\n\n").unwrap().1);
    assert_eq!(open(&both, &keys).unwrap(), TEXT);
    assert_eq!(open(&both, &[other.public().clone()]).unwrap(), TEXT);
    assert!(matches!(open(SIGNED, &[other.public().clone()]), Err(NoteError::Unsigned(_))));
    for text in ["", "\n", TEXT, "a\n\n", "a\n\nb\n", &SIGNED.replace('\u{2014}', "-"), SIGNED.trim_end()] {
        assert_eq!(open(text, &keys), Err(NoteError::Form), "{text}");
    }
    for text in ["", "a", "a+b+c", &KEY.replace("c74f20a3", "c74f20a4"), &KEY.replace("ARpc", "AApc")] {
        assert_eq!(text.parse::<PublicKey>().err(), Some(NoteError::Key), "{text}");
    }
    assert!(matches!(SigningKey::generate("a b"), Err(NoteError::Name(_))));
}

#[test]
fn checkpoints_have_one_form() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let checkpoint: Checkpoint = text.parse().unwrap();
    assert_eq!((checkpoint.size, checkpoint.to_string()), (20_852_163, text.to_owned()));
    for wrong in [
        "",
        "a\n1\n",
        "a\n+1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n1\nCsUY\n",
    ] {
        assert!(wrong.parse::<Checkpoint>().is_err(), "{wrong}");
    }
}

#[test]
fn tiles_are_where_the_specification_says() {
    let tile = |level, place, width| Tile { level, place, width };
    for (path, expected) in [
        ("0/000", tile(Some(0), 0, 256)),
        ("0/x001/x234/067", tile(Some(0), 1_234_067, 256)),
        ("1/000.p/1", tile(Some(1), 0, 1)),
        ("entries/x273/112.p/8", tile(None, 273_112, 8)),
    ] {
        assert_eq!(Tile::parse(path).unwrap(), expected);
        assert_eq!(expected.to_string(), path);
    }
    for wrong in [
        "",
        "0",
        "0/0",
        "0/0000",
        "00/000",
        "64/000",
        "-1/000",
        "0/001/000",
        "0/x000/001",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/+01",
        "x/000",
        "0/000/",
        "entries/../000",
        "0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(Tile::parse(wrong).is_err(), "{wrong}");
    }
    // A log of 70,000 entries (the specification's example): 273 full tiles and one of 112 hashes.
    let leaves: Vec<String> = Tile::leaves(70_000).map(|tile| tile.to_string()).collect();
    assert_eq!((leaves.len(), &*leaves[273]), (274, "0/273.p/112"));
    assert_eq!(Tile::parse("1/001.p/17").unwrap().needs(), Some(273 * 256));
    assert_eq!(Tile::parse("2/000.p/1").unwrap().needs(), Some(65_536));
    let nodes = Tile::parse("1/001.p/2").unwrap().nodes().unwrap();
    assert_eq!(nodes, [Node { level: 8, place: 256 }, Node { level: 8, place: 257 }]);
}

#[test]
fn bundles_hold_entries_as_they_are() {
    let entries: [&[u8]; 3] = [b"one", b"", &[7; 300]];
    let bytes = bundle(entries).unwrap();
    assert_eq!(bytes[..5], *b"\x00\x03one");
    assert_eq!(unbundle(&bytes).unwrap(), entries);
    assert!(unbundle(&bytes[..bytes.len() - 1]).is_err());
    assert!(bundle([&vec![0; 65_536][..]]).is_err());
}
