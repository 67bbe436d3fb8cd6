//! Answers as servers send them (icloud-carddav.md §1.1, §2.1, §3.1 and its appendix).

use proptest::strategy::Strategy as _;

use super::*;

async fn rows(xml: &str) -> Result<(Vec<Row>, Tail), ReadFault> {
    let mut rows = Vec::new();
    let tail = read_whole(&Bytes::copy_from_slice(xml.as_bytes()), |row| rows.push(row)).await?;
    Ok((rows, tail))
}

#[tokio::test]
async fn radicale_default_namespace_and_token_first() {
    let xml = r#"<?xml version='1.0' encoding='utf-8'?>
<multistatus xmlns="DAV:"><sync-token>http://radicale.org/ns/sync/ab</sync-token>
<response><href>/alice/card/u1.vcf</href><propstat><prop><getetag>"b5ee"</getetag></prop><status>HTTP/1.1 200 OK</status></propstat></response>
<response><href>/alice/card/u%202%40x.vcf</href><status>HTTP/1.1 404 Not Found</status></response></multistatus>"#;
    let (rows, tail) = rows(xml).await.unwrap();
    assert_eq!(tail.sync_token.as_deref(), Some("http://radicale.org/ns/sync/ab"));
    assert_eq!((rows[0].href.as_str(), rows[0].props.etag.as_deref()), ("/alice/card/u1.vcf", Some("\"b5ee\"")));
    assert!(!rows[0].is_gone() && rows[1].is_gone());
}

#[tokio::test]
async fn sabre_escapes_quotes_and_splits_propstats() {
    let xml = r#"<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:card="urn:ietf:params:xml:ns:carddav" xmlns:cs="http://calendarserver.org/ns/">
<d:response><d:href>/addressbooks/ann/default/</d:href>
 <d:propstat><d:prop><d:resourcetype><d:collection/><card:addressbook/></d:resourcetype><cs:getctag>1</cs:getctag>
  <d:sync-token>http://sabre.io/ns/sync/1</d:sync-token><d:displayname></d:displayname>
  <d:current-user-privilege-set><d:privilege><d:all/></d:privilege><d:privilege><d:read/></d:privilege></d:current-user-privilege-set>
  <d:supported-report-set><d:supported-report><d:report><d:sync-collection/></d:report></d:supported-report>
   <d:supported-report><d:report><card:addressbook-multiget/></d:report></d:supported-report></d:supported-report-set>
 </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>
 <d:propstat><d:prop><d:getetag>"never mind"</d:getetag><d:quota-available-bytes/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>
</d:response>
<d:response><d:href>/addressbooks/ann/default/1.vcf</d:href><d:propstat><d:prop><d:getetag>&quot;9f&quot;</d:getetag></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>
</d:multistatus>"#;
    let (rows, _) = rows(xml).await.unwrap();
    let book = &rows[0].props;
    assert!(book.is_collection && book.is_addressbook && book.etag.is_none() && book.name.is_none());
    assert_eq!(book.privileges.as_deref(), Some(&["all".to_owned(), "read".to_owned()][..]));
    assert_eq!(book.reports, ["sync-collection", "addressbook-multiget"]);
    assert_eq!((book.ctag.as_deref(), rows[0].bad), (Some("1"), Some(404)));
    assert_eq!(rows[1].props.etag.as_deref(), Some("\"9f\""));
}

#[tokio::test]
async fn xandikos_writes_the_status_first() {
    let xml = r#"<ns0:multistatus xmlns:ns0="DAV:"><ns0:response><ns0:href>/u/c/1.vcf</ns0:href>
<ns0:propstat><ns0:status>HTTP/1.1 200 OK</ns0:status><ns0:prop><ns0:getetag>"x"</ns0:getetag></ns0:prop></ns0:propstat>
<ns0:propstat><ns0:status>HTTP/1.1 404 Not Found</ns0:status><ns0:prop><ns1:address-data xmlns:ns1="urn:ietf:params:xml:ns:carddav"/></ns0:prop></ns0:propstat>
</ns0:response></ns0:multistatus>"#;
    let (rows, _) = rows(xml).await.unwrap();
    assert_eq!((rows[0].props.etag.as_deref(), &rows[0].props.data, rows[0].good), (Some("\"x\""), &None, true));
}

#[tokio::test]
async fn icloud_redeclares_namespaces_and_writes_cr_as_reference() {
    let xml = r#"<multistatus xmlns="DAV:"><response><href>/1234567890/principal/</href>
 <propstat><prop><addressbook-home-set xmlns="urn:ietf:params:xml:ns:carddav">
   <href xmlns="DAV:">https://p42-contacts.example.com:443/1234567890/carddavhome/</href>
 </addressbook-home-set><address-data xmlns="urn:ietf:params:xml:ns:carddav">BEGIN:VCARD&#13;
FN:Ann &amp; Bob&#13;
END:VCARD&#13;
</address-data></prop><status>HTTP/1.1 200 OK</status></propstat></response></multistatus>"#;
    let (rows, _) = rows(xml).await.unwrap();
    assert_eq!(rows[0].props.homes, ["https://p42-contacts.example.com:443/1234567890/carddavhome/"]);
    assert_eq!(rows[0].props.data.as_deref(), Some("BEGIN:VCARD\r\nFN:Ann & Bob\r\nEND:VCARD\r\n"));
}

#[tokio::test]
async fn sogo_says_both() {
    let xml = r#"<D:multistatus xmlns:D="DAV:"><D:response><D:href>/c/1.vcf</D:href><D:status>HTTP/1.1 201 Created</D:status>
<D:propstat><D:prop><D:getetag>"1"</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
<D:response><D:href>/c/2.vcf</D:href><D:status>HTTP/1.1 404 Not Found</D:status>
<D:propstat><D:prop><D:getetag>"2"</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"#;
    let (rows, _) = rows(xml).await.unwrap();
    assert!(rows.iter().all(|row| row.good && !row.is_gone()));
}

#[tokio::test]
async fn a_truncated_answer_says_so() {
    let xml = r#"<multistatus xmlns="DAV:"><response><href>/alice/card/</href><status>HTTP/1.1 507 Insufficient Storage</status>
  <error><number-of-matches-within-limits/></error></response><sync-token>t2</sync-token></multistatus>"#;
    let (rows, tail) = rows(xml).await.unwrap();
    assert!(rows[0].is_truncation());
    assert_eq!((rows[0].conditions.as_slice(), tail.rows), (&["number-of-matches-within-limits".to_owned()][..], 1));
}

#[tokio::test]
async fn errors_name_their_conditions() {
    let xml = r#"<?xml version="1.0"?><D:error xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav"><C:no-uid-conflict><D:href>/c/7.vcf</D:href></C:no-uid-conflict></D:error>"#;
    let tail = read_error(&Bytes::from_static(xml.as_bytes())).await;
    assert_eq!(
        (tail.conditions.as_slice(), tail.conflict.as_deref()),
        (&["no-uid-conflict".to_owned()][..], Some("/c/7.vcf"))
    );
    assert_eq!(read_error(&Bytes::from_static(b"<html><body>no<br></body></html>")).await, Tail::default());
    assert_eq!(read_error(&Bytes::new()).await, Tail::default());
}

#[tokio::test]
async fn what_is_not_dav_is_refused() {
    for (xml, reason) in [
        ("<!DOCTYPE html><html></html>", "document type"),
        ("<html><body>hello</body></html>", "not the answer"),
        ("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "document type"),
        ("<multistatus xmlns=\"DAV:\"><response>&x;</response></multistatus>", "entities"),
        ("<multistatus xmlns=\"DAV:\"></response>", "ill-formed"),
    ] {
        let error = rows(xml).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(matches!(error, ReadFault::Content(_)));
    }
    let deep = format!("<multistatus xmlns=\"DAV:\">{}", "<a>".repeat(1_000));
    assert!(rows(&deep).await.unwrap_err().to_string().contains("deep"));
    // Cut short is not wrong, only incomplete: worth another try.
    for cut in ["", "<multistatus xmlns=\"DAV:\"><response><href>/a"] {
        assert!(matches!(rows(cut).await.unwrap_err(), ReadFault::Io(_)), "{cut}");
    }
}

#[tokio::test]
async fn control_characters_are_taken_out() {
    let xml = "<multistatus xmlns=\"DAV:\"><response><href>/c/1.vcf\u{b}</href><propstat><prop><address-data xmlns=\"urn:ietf:params:xml:ns:carddav\">a\u{1}b&#x0B;c&#0;\td</address-data></prop></propstat></response></multistatus>";
    let (rows, _) = rows(xml).await.unwrap();
    assert_eq!((rows[0].href.as_str(), rows[0].props.data.as_deref()), ("/c/1.vcf", Some("abc\td")));
}

#[tokio::test]
async fn pieces_may_split_anything() {
    let xml = "<multistatus xmlns=\"DAV:\"><response><href>/c/ä.vcf</href><propstat><prop><getetag>&quot;é&quot;</getetag></prop><status>HTTP/1.1 200 OK</status></propstat></response><sync-token>t</sync-token></multistatus>";
    for size in 1..20 {
        let pieces: Vec<io::Result<Bytes>> =
            xml.as_bytes().chunks(size).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
        let mut rows = Vec::new();
        let parsed = parse(reader(futures_util::stream::iter(pieces)), |row| rows.push(row)).await.unwrap();
        assert_eq!(rows[0].props.etag.as_deref(), Some("\"é\""));
        assert_eq!(parsed.tail.sync_token.as_deref(), Some("t"));
    }
}

proptest::proptest! {
    #[test]
    fn nothing_that_a_server_sends_breaks_the_reader(
        body in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::sample::select(vec![
                    "<multistatus xmlns=\"DAV:\">", "</multistatus>", "<response>", "</response>", "<href>", "</href>", "<propstat>",
                    "</propstat>", "<prop>", "</prop>", "<status>HTTP/1.1 200 OK</status>", "<getetag>", "</getetag>", "&amp;",
                    "&#13;", "&#0;", "&#xFFFFFFFFF;", "<![CDATA[x]]>", "<!-- x -->", "<?x y?>", "<a b='c'/>", "/c/1.vcf",
                ]).prop_map(str::to_owned),
                "[ -~\\x00-\\x1f]{0,5}",
            ],
            0..30,
        )
    ) {
        let body = Bytes::from(body.concat());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _ = runtime.block_on(read_whole(&body, |_| {}));
        let _ = runtime.block_on(read_error(&body));
    }
}

/// A listing as big as iCloud allows comes in pieces and leaves only what is asked of it.
#[tokio::test]
async fn fifty_thousand_rows_one_at_a_time() {
    let row = |n: u32| {
        format!(
            "<response><href>/1/carddavhome/card/{n:08X}.vcf</href><propstat><prop><getetag>\"{n}\"</getetag></prop>\
             <status>HTTP/1.1 200 OK</status></propstat></response>"
        )
    };
    let begin = std::iter::once("<multistatus xmlns=\"DAV:\">".to_owned());
    let pieces = begin.chain((0..50_000).map(row)).chain(std::iter::once("</multistatus>".to_owned()));
    let stream = futures_util::stream::iter(pieces.map(|piece| Ok(Bytes::from(piece))));
    let mut seen = 0;
    let parsed = parse(reader(stream), |row| seen += usize::from(row.props.etag.is_some())).await.unwrap();
    assert_eq!((seen, parsed.tail.rows), (50_000, 50_000));
}
