"""Word lists for the sandbox's contacts, and a random generator to choose from them.

The words use many scripts on purpose: only then do tests cover more than ASCII.
"""
# ruff: noqa: RUF001 - letters that resemble Latin ones are intended

import random
from typing import NamedTuple


class Dice(random.Random):
    """A random generator whose choices are the same for the same seed text, on any machine.

    Python hashes a seed text with SHA-512, so its hash seed has no effect.
    """

    def likely(self, chance: float) -> bool:
        """Return True with a probability from 0 to 1."""
        return self.random() < chance


class Locale(NamedTuple):
    """A region of the world, with typical names of its people."""

    language: str
    country: str
    country_code: str
    dial: str
    places: tuple[tuple[str, str], ...]
    """Pairs of region and city."""
    given: tuple[str, ...]
    family: tuple[str, ...]
    order: str = "{given} {family}"


# Several words per line are easier to read than one word per line:
# fmt: off
LOCALES = (
    Locale(
        "en", "Ireland", "IRL", "+353",
        (("Leinster", "Dublin"), ("Munster", "Cork"), ("Connacht", "Galway")),
        ("Aoife", "Conor", "Niamh", "Seán", "Róisín"), ("O'Brien", "Murphy", "Ní Dhomhnaill", "Walsh"),
    ),
    Locale(
        "en", "United States", "USA", "+1",
        (
            ("California", "San Francisco"), ("New York", "New York"), ("Texas", "Austin"),
            ("Hawaii", "Kāneʻohe"),
        ),
        ("Grace", "DeShawn", "Emily", "Mateo", "Harper", "Joe"),
        ("Johnson", "Garcia-Lopez", "Smith", "O’Neal"),
    ),
    Locale(
        "de", "Germany", "DEU", "+49",
        (("Bayern", "München"), ("Nordrhein-Westfalen", "Köln"), ("Berlin", "Berlin")),
        ("Jürgen", "Anneliese", "Björn", "Käthe"), ("Müller", "Weiß", "Schönfeld", "von der Leyhen"),
    ),
    Locale(
        "fr", "France", "FRA", "+33",
        (
            ("Île-de-France", "Saint-Denis"), ("Auvergne-Rhône-Alpes", "Saint-Étienne"),
            ("Grand Est", "Nancy"),
        ),
        ("Zoé", "François", "Anaïs", "Loïc"), ("Lefèvre", "D’Arc", "Besançon", "Nuñez"),
    ),
    Locale(
        "pt", "Brazil", "BRA", "+55",
        (("São Paulo", "São José dos Campos"), ("Ceará", "Fortaleza"), ("Pará", "Belém")),
        ("João", "Conceição", "Luísa", "Antônio"), ("da Silva", "Gonçalves", "Araújo", "dos Santos"),
    ),
    Locale(
        "pl", "Poland", "POL", "+48",
        (("Łódzkie", "Łódź"), ("Małopolskie", "Kraków"), ("Dolnośląskie", "Wrocław")),
        ("Łukasz", "Małgorzata", "Święcisław", "Zofia"), ("Wójcik", "Żądło", "Kowalska", "Ćwikła"),
    ),
    Locale(
        "el", "Greece", "GRC", "+30",
        (("Αττική", "Αθήνα"), ("Κεντρική Μακεδονία", "Θεσσαλονίκη")),
        ("Αλέξανδρος", "Ελένη", "Χρυσούλα"), ("Παπαδόπουλος", "Ζαχαρίου", "Ψαρρά"),
    ),
    Locale(
        "uk", "Ukraine", "UKR", "+380",
        (("Київ", "Київ"), ("Львівська область", "Львів"), ("Одеська область", "Одеса")),
        ("Олена", "Тарас", "Євген", "Соломія"), ("Шевченко", "Гнатюк", "Їжакевич"),
    ),
    Locale(
        "tr", "Türkiye", "TUR", "+90",
        (("İstanbul", "Şişli"), ("İzmir", "Çeşme"), ("Muğla", "Göcek")),
        ("Işıl", "Oğuzhan", "Şükrü", "Gülçin"), ("Yıldız", "Öztürk", "Kılıç"),
    ),
    Locale(
        "he", "Israel", "ISR", "+972",
        (("תל אביב", "תל אביב-יפו"), ("הצפון", "נצרת")),
        ("נועה", "איתן", "שירה"), ("כהן", "לוי", "בן־דוד"),
    ),
    Locale(
        "ar", "Egypt", "EGY", "+20",
        (("القاهرة", "القاهرة"), ("الإسكندرية", "الإسكندرية"), ("الجيزة", "الجيزة")),
        ("محمد", "فاطمة", "يوسف", "مريم"), ("عبد الرحمن", "المصري", "حسين"),
    ),
    Locale(
        "hi", "India", "IND", "+91",
        (("महाराष्ट्र", "पुणे"), ("दिल्ली", "नई दिल्ली"), ("Karnataka", "Bengaluru")),
        ("आरव", "प्रिया", "अनन्या", "विक्रम"), ("शर्मा", "पटेल", "कृष्णमूर्ति"),
    ),
    Locale(
        "th", "Thailand", "THA", "+66",
        (("กรุงเทพมหานคร", "บางรัก"), ("เชียงใหม่", "เมืองเชียงใหม่")),
        ("สมชาย", "พิมพ์ชนก", "ณัฐวุฒิ"), ("ใจดี", "ศรีสุวรรณ", "แก้วมณี"),
    ),
    Locale(
        "ja", "Japan", "JPN", "+81",
        (("東京都", "渋谷区"), ("大阪府", "堺市"), ("北海道", "札幌市")),
        ("さくら", "健太", "ゆう子", "蓮"), ("山田", "髙橋", "渡邉", "𠮷野"), "{family} {given}",
    ),
    Locale(
        "zh-CN", "China", "CHN", "+86",
        (("上海市", "上海"), ("四川省", "成都"), ("广东省", "深圳")),
        ("伟", "秀英", "子涵", "梓萱"), ("王", "欧阳", "陈", "龔"), "{family}{given}",
    ),
    Locale(
        "ko", "South Korea", "KOR", "+82",
        (("서울특별시", "강남구"), ("부산광역시", "해운대구")),
        ("지민", "서연", "하늘"), ("김", "남궁", "박"), "{family}{given}",
    ),
    Locale(
        "vi", "Vietnam", "VNM", "+84",
        (("Thành phố Hồ Chí Minh", "Thủ Đức"), ("Hà Nội", "Đống Đa")),
        ("Thị Hương", "Quốc Bảo", "Ánh Nguyệt"), ("Nguyễn", "Trần", "Phạm"), "{family} {given}",
    ),
    Locale(
        "am", "Ethiopia", "ETH", "+251",
        (("አዲስ አበባ", "አዲስ አበባ"), ("አማራ", "ባሕር ዳር")),
        ("አበበ", "ሰላማዊት", "ዮሐንስ"), ("ተስፋዬ", "ገብረ መድኅን"),
    ),
)

HANDLES = (
    "a.turing", "blue.heron", "carla_m", "d-o-brien", "first+newsletter", "hello", "info", "j.doe",
    "kontakt", "ms.o'hara", "ops-team", "purchasing", "r2.d2", "s.k", "the.quiet.one", "UPPER.Case", "x",
)
DOMAINS = (
    "example.com", "example.org", "mail.example.net", "bücher.example", "acme.test", "umbrella.test",
    "xn--bcher-kva.example", "very-long-subdomain.of.a-company.example", "例え.テスト", "globex.test",
)

BROWSERS = (
    ("chrome", "131.0.6778.86"), ("safari", "18.1"), ("firefox", "133.0"), ("edge", "131.0.2903.63"),
    ("opera", "114"),
)
SYSTEMS = ("Mac OS X", "Windows 10", "Windows 11", "Linux", "Android 15", "iOS 18.1", "ChromeOS 130")
ANDROID_DEVICES = (("Pixel 3", "10", "28"), ("SM-S921B", "14", "34"), ("Redmi Note 12 “Pro”", "13", "33"))
IOS_DEVICES = (("iPhone 11", "13.3.1"), ("iPhone16,2", "18.1"), ("iPad14,3", "17.6"))

SOCIAL = (
    ("Twitter", "http://twitter.com/th1sland"), ("Facebook", "http://facebook.com/th1sland"),
    ("LinkedIn", "https://www.linkedin.com/in/th1sland"), ("Gravatar", "https://gravatar.com/th1sland"),
)

CAMPAIGNS = ("spring sale", "retargeting_de_2024", "Größer & besser", "新年キャンペーン", "50 % off")
SOURCES = ("google", "newsletter", "partner:acme", "linkedin", "bing")
REFERRERS = (
    "https://www.google.com/", "https://news.example.org/post?id=42&ref=a%20b",
    "android-app://com.example/",
    "https://www.example.com/pricing?utm_source=google&utm_medium=cpc&utm_campaign=spring%20sale#faq",
)

PHRASES = (
    "Asked for an invoice with the VAT number, see the last thread.",
    "Prefers a call before 10:00, never on Fridays.",
    "Hat den Vertrag über drei Jahre verlängert – „ohne Rückfragen“.",
    "Très satisfaite du support, à recontacter après l’été 🌞",
    "請求書は毎月末に送付。担当者は渡邉さん（敬称に注意）。",
    "Просит выгрузку всех данных в формате CSV, срок — пятница.",
    "يفضل التواصل باللغة العربية عبر البريد الإلكتروني فقط.",
    'Uses C:\\Program Files\\App and "smart" quotes, tabs\tand\nline breaks.',
    "VIP 👩‍👩‍👧‍👦🏳️‍🌈 👍🏽 — renewals are handled by the Lisbon office.",
    "<b>Imported</b> from the old CRM &amp; merged; 100% of fields checked.",
    "ग्राहक ने छूट के लिए अनुरोध किया है।",
    "Zażółć gęślą jaźń, kontakt wyłącznie e-mailem.",
)

TAG_WORDS = (
    "VIP", "churn risk", "beta", "newsletter", "Großkunde", "à relancer", "試用中", "важный", "🔥 hot",
    "Q3/2024", "trial-expired", "C# & .NET", "partner", "do not call", "עברית", "enterprise", "50% off",
    '"quoted"', "webinar", "import 2019",
)
COMPANY_WORDS = (
    "Acme", "Globex", "Initech", "Müller & Söhne", "株式会社さくら", "ООО Ромашка", "Umbrella", "Stark",
    "Café Zoë", "Wonka", "Société Générique", "شركة النور",
)
COMPANY_FORMS = ("Ltd.", "GmbH", "Inc.", "S.A.", "LLC", "Oy", "AB", "Pty", "B.V.")
SUBSCRIPTIONS = (
    ("Announcements", "opt_out"), ("Newsletter", "opt_out"), ("Product updates", "opt_out"),
    ("Événements", "opt_out"), ("SMS offers", "opt_in"), ("Beta programme", "opt_in"), ("調査", "opt_in"),
)
SEGMENTS = ("Active", "New", "Slipping away", "Paying 💶", "Größer als 50 Sitze", "Trial", "Japan 日本")
# fmt: on
