//! The words that people are made of.
//!
//! Owns: tables. Must not: hold a name and a place that belong together in life.

/// Where somebody's name comes from. Each name comes with its Latin letters.
pub(super) struct Culture {
    pub(super) country: &'static str,
    pub(super) country_code: &'static str,
    pub(super) family_first: bool,
    pub(super) phonetic: bool,
    pub(super) given: &'static [(&'static str, &'static str)],
    pub(super) family: &'static [(&'static str, &'static str)],
    /// Street, city, region, postal code.
    pub(super) places: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

pub(super) const CULTURES: [&Culture; 15] = [
    &AMERICAN, &BRITISH, &GERMAN, &FRENCH, &SPANISH, &SWEDISH, &POLISH, &TURKISH, &RUSSIAN, &GREEK, &ARABIC, &INDIAN,
    &JAPANESE, &CHINESE, &KOREAN,
];

const AMERICAN: Culture = Culture {
    country: "USA",
    country_code: "us",
    family_first: false,
    phonetic: false,
    given: &[
        ("Emma", "Emma"),
        ("Liam", "Liam"),
        ("Olivia", "Olivia"),
        ("Noah", "Noah"),
        ("Ava", "Ava"),
        ("Mason", "Mason"),
        ("Mary-Jane", "Mary-Jane"),
        ("DeShawn", "DeShawn"),
        ("Xochitl", "Xochitl"),
        ("J.", "J"),
    ],
    family: &[
        ("Smith", "Smith"),
        ("Johnson", "Johnson"),
        ("Williams", "Williams"),
        ("O'Neill", "ONeill"),
        ("Garcia", "Garcia"),
        ("MacDonald", "MacDonald"),
        ("van der Berg", "vanderberg"),
        ("Lee", "Lee"),
        ("Nguyen", "Nguyen"),
    ],
    places: &[
        ("Main St", "Springfield", "IL", "62701"),
        ("Elm Avenue", "Portland", "OR", "97201"),
        ("Ocean Blvd", "Long Beach", "CA", "90802"),
    ],
};

const BRITISH: Culture = Culture {
    country: "United Kingdom",
    country_code: "gb",
    family_first: false,
    phonetic: false,
    given: &[
        ("Oliver", "Oliver"),
        ("Amelia", "Amelia"),
        ("Siobhán", "Siobhan"),
        ("Rhys", "Rhys"),
        ("Isla", "Isla"),
        ("Callum", "Callum"),
        ("Zoë", "Zoe"),
    ],
    family: &[
        ("Taylor", "Taylor"),
        ("Davies", "Davies"),
        ("ap Llywelyn", "apllywelyn"),
        ("Ó Briain", "OBriain"),
        ("Smythe-Jones", "Smythe-Jones"),
        ("Fraser", "Fraser"),
    ],
    places: &[("High Street", "Reading", "Berkshire", "RG1 1AA"), ("Mill Lane", "Leeds", "", "LS1 1AA")],
};

const GERMAN: Culture = Culture {
    country: "Deutschland",
    country_code: "de",
    family_first: false,
    phonetic: false,
    given: &[
        ("Jürgen", "Juergen"),
        ("Anke", "Anke"),
        ("Sören", "Soeren"),
        ("Käthe", "Kaethe"),
        ("Karl-Heinz", "Karl-Heinz"),
        ("Jörg", "Joerg"),
        ("Lena", "Lena"),
    ],
    family: &[
        ("Müller", "Mueller"),
        ("Groß", "Gross"),
        ("von der Weide", "vonderweide"),
        ("Schäfer", "Schaefer"),
        ("Weiß", "Weiss"),
        ("Öztürk", "Oeztuerk"),
        ("Freifrau zu Hohenstein", "zuhohenstein"),
    ],
    places: &[("Hauptstraße", "Berlin", "", "10115"), ("Am Römerweg", "Köln", "NRW", "50667")],
};

const FRENCH: Culture = Culture {
    country: "France",
    country_code: "fr",
    family_first: false,
    phonetic: false,
    given: &[
        ("Éloïse", "Eloise"),
        ("François", "Francois"),
        ("Maëlys", "Maelys"),
        ("Jean-Noël", "Jean-Noel"),
        ("Anaïs", "Anais"),
    ],
    family: &[
        ("Lefèvre", "Lefevre"),
        ("D'Artois", "Dartois"),
        ("Saint-Étienne", "Saint-Etienne"),
        ("Garçon", "Garcon"),
    ],
    places: &[("rue de l'Église", "Lyon", "", "69001"), ("allée des Châtaigniers", "Nîmes", "Gard", "30000")],
};

const SPANISH: Culture = Culture {
    country: "España",
    country_code: "es",
    family_first: false,
    phonetic: false,
    given: &[
        ("José María", "Josemaria"),
        ("Íñigo", "Inigo"),
        ("Begoña", "Begona"),
        ("María del Carmen", "Mariadelcarmen"),
    ],
    family: &[
        ("García Núñez", "Garcianunez"),
        ("Ibáñez y Peña", "Ibanez"),
        ("de la Vega", "delavega"),
        ("Muñoz", "Munoz"),
    ],
    places: &[("Calle de la Luna", "Cádiz", "Andalucía", "11001"), ("Plaça Major", "Girona", "", "17001")],
};

const SWEDISH: Culture = Culture {
    country: "Sverige",
    country_code: "se",
    family_first: false,
    phonetic: false,
    given: &[("Åsa", "Asa"), ("Björn", "Bjorn"), ("Göran", "Goran"), ("Linnéa", "Linnea")],
    family: &[("Öberg", "Oberg"), ("Ångström", "Angstrom"), ("Sjölund", "Sjolund"), ("af Klint", "afklint")],
    places: &[("Storgatan", "Göteborg", "", "411 01"), ("Älvvägen", "Umeå", "", "903 21")],
};

const POLISH: Culture = Culture {
    country: "Polska",
    country_code: "pl",
    family_first: false,
    phonetic: false,
    given: &[("Łukasz", "Lukasz"), ("Małgorzata", "Malgorzata"), ("Wojciech", "Wojciech"), ("Żaneta", "Zaneta")],
    family: &[
        ("Wąsik", "Wasik"),
        ("Źrebiec", "Zrebiec"),
        ("Brzęczyszczykiewicz", "Brzeczyszczykiewicz"),
        ("Kowalska-Nowak", "Kowalska-Nowak"),
    ],
    places: &[("ul. Świętokrzyska", "Łódź", "", "90-001")],
};

const TURKISH: Culture = Culture {
    country: "Türkiye",
    country_code: "tr",
    family_first: false,
    phonetic: false,
    given: &[("Işıl", "Isil"), ("İbrahim", "Ibrahim"), ("Çağla", "Cagla"), ("Ömer", "Omer")],
    family: &[("Yıldız", "Yildiz"), ("Şahin", "Sahin"), ("Güneş", "Gunes")],
    places: &[("Gül Sokak", "İzmir", "", "35000")],
};

const RUSSIAN: Culture = Culture {
    country: "Россия",
    country_code: "ru",
    family_first: false,
    phonetic: false,
    given: &[("Анна", "Anna"), ("Дмитрий", "Dmitry"), ("Ёлка", "Yolka"), ("Фёдор", "Fyodor")],
    family: &[("Кузнецова", "Kuznetsova"), ("Щукин", "Shchukin"), ("Воробьёв", "Vorobyov")],
    places: &[("ул. Садовая", "Тверь", "Тверская обл.", "170100")],
};

const GREEK: Culture = Culture {
    country: "Ελλάδα",
    country_code: "gr",
    family_first: false,
    phonetic: false,
    given: &[("Ελένη", "Eleni"), ("Γιώργος", "Giorgos"), ("Νίκος", "Nikos")],
    family: &[("Παπαδοπούλου", "Papadopoulou"), ("Βλάχος", "Vlachos")],
    places: &[("Οδός Ερμού", "Πάτρα", "", "262 21")],
};

const ARABIC: Culture = Culture {
    country: "مصر",
    country_code: "eg",
    family_first: false,
    phonetic: false,
    given: &[("محمد", "Mohammed"), ("فاطمة", "Fatima"), ("يوسف", "Youssef"), ("ليلى", "Layla")],
    family: &[("الحسيني", "Alhusseini"), ("بن سالم", "bensalem"), ("منصور", "Mansour")],
    places: &[("شارع النيل", "القاهرة", "", "11511")],
};

const INDIAN: Culture = Culture {
    country: "भारत",
    country_code: "in",
    family_first: false,
    phonetic: false,
    given: &[("प्रिया", "Priya"), ("Arjun", "Arjun"), ("लक्ष्मी", "Lakshmi"), ("Venkatanarasimharajuvaripeta", "Venkat")],
    family: &[("शर्मा", "Sharma"), ("Iyer", "Iyer"), ("Subramanian", "Subramanian")],
    places: &[("MG Road", "Bengaluru", "Karnataka", "560001")],
};

const JAPANESE: Culture = Culture {
    country: "日本",
    country_code: "jp",
    family_first: true,
    phonetic: true,
    given: &[("花子", "Hanako"), ("健太", "Kenta"), ("さくら", "Sakura"), ("翔", "Sho")],
    family: &[("山田", "Yamada"), ("髙橋", "Takahashi"), ("渡邊", "Watanabe"), ("𠮷野", "Yoshino")],
    places: &[("桜町", "横浜市", "神奈川県", "220-0001")],
};

const CHINESE: Culture = Culture {
    country: "中国",
    country_code: "cn",
    family_first: true,
    phonetic: true,
    given: &[("伟", "Wei"), ("秀英", "Xiuying"), ("子涵", "Zihan")],
    family: &[("王", "Wang"), ("欧阳", "Ouyang"), ("张", "Zhang")],
    places: &[("人民路", "上海市", "", "200000")],
};

const KOREAN: Culture = Culture {
    country: "대한민국",
    country_code: "kr",
    family_first: true,
    phonetic: false,
    given: &[("서연", "Seoyeon"), ("민준", "Minjun"), ("지우", "Jiwoo")],
    family: &[("김", "Kim"), ("황보", "Hwangbo"), ("이", "Lee")],
    places: &[("세종대로", "서울", "", "04524")],
};

pub(super) const COMPANIES: [&str; 14] = [
    "Example & Sons",
    "Acme, Inc.",
    "Müller; Söhne GmbH & Co. KG",
    "Globex Corporation",
    "株式会社サンプル",
    "Société Générique",
    "Initech",
    "Ångström Labs",
    "Umbrella Repairs",
    "Ромашка ООО",
    "Café \"Zur Post\"",
    "The Very Long Company Name Holding and International Trading Partnership of Somewhere Ltd.",
    "A",
    "Hooli\\XYZ",
];

pub(super) const DEPARTMENTS: [&str; 5] = ["Sales", "Forschung", "R&D", "営業部", "Achats"];

pub(super) const TITLES: [&str; 7] =
    ["Head of Sales", "Geschäftsführerin", "CEO, Founder", "Ingénieure", "部長", "Nurse", "VP; Operations"];

pub(super) const NICKNAMES: [&str; 6] = ["Bobby", "Lisl", "The Boss", "Zazà", "小明", "J.J."];

pub(super) const GROUPS: [&str; 8] =
    ["Friends", "Family ❤️", "Board", "Kunden, alt", "取引先", "Équipe; Lyon", "VIP", "Newsletter 2025"];

pub(super) const NOTES: [&str; 8] = [
    "Met at the trade fair.\nLikes tea, not coffee; call after 10:00.",
    "Allergic to nuts 🥜, brings the 👨‍👩‍👧‍👦.",
    "Ruft gern zurück; mag keine E-Mails.",
    "A note that is so long that it must be folded several times over, since it goes on and on about nothing in particular, \
     with commas, semicolons; and a backslash \\ in the middle, until at last it ends.",
    "メールは日本語でお願いします。返信はいつも早いです。担当者が変わったので、次回から新しい担当者に連絡してください。",
    "x",
    "Line one\n\nLine three after an empty one",
    "https://example.com/profile?id=1&lang=de",
];
