use super::*;
use proptest::prelude::*;

fn split(pieces: &[&[u8]]) -> (Vec<Event>, Bytes) {
    let mut splitter = Splitter::default();
    let mut events = Vec::new();
    for piece in pieces {
        splitter.push(piece);
        while let Some(event) = splitter.next().unwrap() {
            events.push(event);
        }
    }
    (events, splitter.rest())
}

#[test]
fn lines_end_in_three_ways_and_data_is_joined() {
    let (events, rest) =
        split(&[b"data: a\ndata:b\n\n", b": ping\r\n\r\ndata\r\r", b"x: y\ndata:  c\n\ndata: d"]);
    let data: Vec<_> =
        events.iter().map(|event| event.data().map(|d| String::from_utf8(d).unwrap())).collect();
    assert_eq!(data, [Some("a\nb".into()), None, Some(String::new()), Some(" c".into())]);
    assert_eq!(&rest[..], b"data: d");
    assert_eq!(Event(Bytes::from_static(b"\xef\xbb\xbfdata: x\r\n")).data(), Some(b"x".to_vec()));
    assert_eq!(Event(Bytes::from_static(b"dataset: x\n\n")).data(), None);
}

#[test]
fn an_event_without_end_is_refused() {
    let mut splitter = Splitter::default();
    for _ in 0..MAX_EVENT / 1024 {
        splitter.push(&[b'x'; 1024]);
        assert_eq!(splitter.next(), Ok(None));
    }
    splitter.push(b"x");
    assert_eq!(splitter.next(), Err(TooLong));
}

proptest! {
    #[test]
    fn pieces_make_no_difference_and_no_byte_is_lost(
        text in prop::collection::vec(prop::sample::select(b"da:\r\n x\xe2\x82".to_vec()), 0..80),
        cuts in prop::collection::vec(0_usize..80, 0..10),
    ) {
        let (whole, rest) = split(&[&text]);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        let (events, other_rest) = split(&pieces);
        prop_assert_eq!(&events, &whole);
        prop_assert_eq!(&rest, &other_rest);
        let mut joined: Vec<u8> = events.iter().flat_map(|event| event.0.to_vec()).collect();
        joined.extend_from_slice(&rest);
        prop_assert_eq!(joined, text);
    }
}
