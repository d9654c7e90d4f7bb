"""Guesses of what personal data a column may hold, by its name and by some of its values.

A guess is for a person who writes a contract: nothing is ever classified by it. Names are looked at word by word, in the
common languages of databases; values only where their form can be told from another's (addresses with an @, check digits).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dativo.config.types import Kind

GUESSED = "classification-guessed"
# So much of the values must have a form for it to be that of the column, and so many values there must be.
SHARE = 0.8
FEW = 3


class Guess(NamedTuple):
    """What a column may hold, as `email`, its class, and by what it was guessed."""

    what: str
    classification: str
    reason: str


class _Sort(NamedTuple):
    """A sort of personal data: words and pairs of words that name it, and kinds of columns that can hold it."""

    what: str
    classification: str
    words: frozenset[str]
    kinds: tuple[str, ...] = ("string", "json")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _sort(what: str, words: str, *, classification: str = "PII", kinds: tuple[str, ...] = ()) -> _Sort:
    return _Sort(what, classification, _set(words), ("string", "json", *kinds))


_NUMBERS = ("long", "decimal")
# The first that fits is taken: `email_address` is no street, `ip_address` neither. Several words are joined without a sign.
SORTS = (
    _sort("email", "email mail emailaddress correo courriel epost poczta mailadresse"),
    _sort("IP address", "ip ipaddress ipaddr ipv4 ipv6 remoteaddr remoteaddress clientip adresseip direccionip"),
    _sort(
        "IBAN or account number",
        "iban bban kontonummer bankkonto accountnumber bankaccount accountno acctno numerocuenta numerodeconto "
        "numerocompte rekeningnummer numerkonta",
        kinds=_NUMBERS,
    ),
    _sort(
        "card number",
        "cardnumber cardno creditcard debitcard ccnumber ccnum kreditkarte kartennummer kreditkartennummer "
        "cartebancaire numerocarte tarjeta numerotarjeta cartao cartacredito creditcardnumber kaartnummer numerkarty",
        classification="PCI",
        kinds=_NUMBERS,
    ),
    _sort(
        "birth date",
        "birth birthday birthdate dob dateofbirth geburtsdatum geburtstag geboren naissance datenaissance nacimiento "
        "fechanacimiento nascita datanascita nascimento datanascimento geboortedatum urodzenia fodelsedatum birthyear",
        kinds=("date", "timestamp", "timestamptz", "long"),
    ),
    _sort(
        "national id",
        "ssn socialsecurity socialsecuritynumber nationalid nationalidentifier passport passportnumber passportno "
        "driverlicense driverslicense driverlicence drivinglicence drivinglicense taxid taxnumber nino aadhaar "
        "steuerid steuernummer sozialversicherungsnummer svnr personalausweis ausweisnummer reisepass nif nie dni cpf "
        "nir numerosecu securitesociale codicefiscale pesel bsn burgerservicenummer personnummer cedula curp rfc",
        kinds=_NUMBERS,
    ),
    _sort(
        "phone",
        "phone telephone tel telefon mobile mobil cellphone handy handynummer fax telefax telefono movil celular "
        "telefone portable telefoon gsm whatsapp rufnummer telefonnummer phonenumber mobilenumber telno telefonszam",
        kinds=_NUMBERS,
    ),
    _sort(
        "person's name",
        "firstname lastname fullname surname forename givenname middlename familyname maidenname fname lname "
        "vorname nachname familienname zuname prenom nomfamille nomdefamille apellido apellidos sobrenome cognome "
        "voornaam achternaam tussenvoegsel imie nazwisko fornamn efternamn username nickname contactname personname "
        "customername employeename patientname recipientname cardholder holdername accountholder displayname",
    ),
    _sort(
        "address",
        "address addr street streetaddress addressline zip zipcode postcode postalcode postal plz strasse hausnummer "
        "anschrift adresse direccion calle codigopostal rue codepostal indirizzo endereco rua cep straat huisnummer "
        "adres ulica kodpocztowy gatuadress postnummer domicilio",
        kinds=_NUMBERS,
    ),
)
# In a table of persons these are names of persons; elsewhere products and places have them.
_PERSON = next(s for s in SORTS if s.what == "person's name")
_NAMES = _set("name nom nome nombre naam namn imie")
_PERSONS = _set(
    "user users account accounts person persons people customer customers client clients employee employees staff member "
    "members contact contacts patient patients student students teacher teachers author authors actor actors driver drivers "
    "guest guests passenger passengers subscriber subscribers lead leads recipient recipients kunde kunden person personen "
    "mitarbeiter nutzer benutzer cliente clientes empleado empleados usuario usuarios persona personas utilisateur "
    "utilisateurs employe employes salarie salaries dipendente dipendenti utente utenti klant klanten gebruiker klient "
    "klienci pracownik"
)
# What is told of personal data and is none itself, as `email_verified`, `phone_type`.
_ABOUT = _set(
    "id count verified valid sent status type flag opt optin enabled hash template domain kind confirmed bounced subject "
    "changed updated created at code label format consent allowed provider server host version size"
)


# Sorts whose names are less sure than the form of values.
_WEAK = ("address", "person's name", "phone", "national id")


def guess(name: str, kind: Kind, values: Sequence[str], table: str = "") -> Guess | None:
    """What a column may hold, or None. `values` are some of its values as text, `table` is what the column stands in."""
    by_name = _by_name(name, kind, table)
    form = _form(kind, values)
    if form is not None and by_name is not None and by_name.what == form.what:
        return form._replace(reason=f"its name and {form.reason}")
    if form is not None and (by_name is None or by_name.what in _WEAK):
        return form
    return Guess(by_name.what, by_name.classification, "its name") if by_name is not None else None


def _by_name(name: str, kind: Kind, table: str) -> _Sort | None:
    words = _words(name)
    spans = [(i, j) for i in range(len(words)) for j in range(i + 1, min(i + 4, len(words)) + 1)]
    for sort in SORTS:
        for start, end in spans if kind in sort.kinds else ():
            told_of = _ABOUT.intersection(words[:start][1:] + words[end:])
            if "".join(words[start:end]) in sort.words and not told_of:
                return sort
    of_person = _PERSONS.intersection(words) and _NAMES.intersection(words) and not _ABOUT.intersection(words)
    bare = len(words) == 1 and words[0] in _NAMES and _PERSONS.intersection(_words(table))
    return _PERSON if kind == "string" and (of_person or bare) else None


def _words(name: str) -> list[str]:
    """The words of a name, lower case and without accents: `EMailAdresse`, `e_mail-adresse` and `e mail adresse`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name.replace("ß", "ss"))
    plain = "".join(c for c in unicodedata.normalize("NFKD", apart) if not unicodedata.combining(c)).lower()
    plain = plain.replace("ł", "l").replace("ø", "o")
    return [w for w in re.split(r"[^a-z0-9]+", re.sub(r"\be[ _-]?mail", "email", plain)) if w]


def _form(kind: Kind, values: Sequence[str]) -> Guess | None:
    found = [v.strip() for v in values if v.strip()]
    if len(found) < FEW or kind not in ("string", "long", "decimal"):
        return None
    for what, classification, kinds, test in _FORMS:
        hits = sum(1 for v in found if test(v)) if kind in kinds else 0
        if hits >= SHARE * len(found):
            return Guess(what, classification, f"{hits} of {len(found)} values")
    return None


def is_email(text: str) -> bool:
    return re.fullmatch(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]{2,}", text) is not None


def is_ip(text: str) -> bool:
    if not re.search(r"\d+\.\d+\.\d+\.\d+|:.*:", text):
        return False
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True


def is_iban(text: str) -> bool:
    """Whether a text is an IBAN with right check digits (ISO 13616)."""
    bare = text.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", bare):
        return False
    return int("".join(str(int(c, 36)) for c in bare[4:] + bare[:4])) % 97 == 1


def is_card(text: str) -> bool:
    """Whether a text is the number of a payment card: 13 to 19 digits that begin as cards do, with a right check digit."""
    bare = re.sub(r"[ -]", "", text)
    if not re.fullmatch(r"[2-6]\d{12,18}", bare) or len(set(bare)) == 1:
        return False
    digits = [int(c) for c in reversed(bare)]
    doubled = (d * 2 - 9 if d > 4 else d * 2 for d in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_phone(text: str) -> bool:
    return re.fullmatch(r"(\+|00)[1-9][\d ()/.-]{6,20}", text) is not None


def is_social_security(text: str) -> bool:
    return re.fullmatch(r"(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}", text) is not None


_FORMS: tuple[tuple[str, str, tuple[str, ...], Callable[[str], bool]], ...] = (
    ("email", "PII", ("string",), is_email),
    ("IP address", "PII", ("string",), is_ip),
    ("IBAN or account number", "PII", ("string",), is_iban),
    ("card number", "PCI", ("string", "long", "decimal"), is_card),
    ("national id", "PII", ("string",), is_social_security),
    ("phone", "PII", ("string",), is_phone),
)
