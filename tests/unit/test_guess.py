"""Guesses of personal data: what is noticed in several languages, what is not taken for it, and by which values."""

from __future__ import annotations

from typing import Any

import pytest

from dativo.privacy.guess import guess, is_card, is_email, is_iban, is_ip, is_phone


def what(name: str, kind: Any = "string", values: tuple[str, ...] = (), table: str = "") -> str | None:
    found = guess(name, kind, values, table)
    return found.what if found is not None else None


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("email e_mail EMail eMailAdresse customer_email EMAIL_ADDRESS correo_electronico courriel", "email"),
        ("phone mobile_phone PhoneNumber telefon handynummer telefono téléfone celular fax_no whatsapp", "phone"),
        ("first_name firstName LASTNAME vorname Nachname prenom apellidos cognome achternaam imię", "person's name"),
        ("customer_name user_name employeeName nombre_cliente", "person's name"),
        ("street zip_code PostalCode billing_address strasse Straße plz direccion codigo_postal indirizzo", "address"),
        ("ip ip_address client_ip remoteAddr lastIp", "IP address"),
        ("iban bank_account kontonummer account_number", "IBAN or account number"),
        ("card_number creditCard cc_number kreditkartennummer", "card number"),
        ("dob birth_date dateOfBirth geburtsdatum fecha_de_nacimiento date_naissance", "birth date"),
        ("ssn national_id tax_id steuer_id passport_no codice_fiscale pesel cpf dni", "national id"),
    ],
)
def test_names_of_several_languages_tell_what_a_column_holds(names: str, wanted: str) -> None:
    for name in names.split():
        assert what(name) == wanted, name


NOT_PERSONAL = """
id total zip_file_count email_id email_count email_verified phone_type address_id ip_version product_name name
country_code status trip shipment market_cap description mailing created_at hostname company_name uuid file_name
"""


@pytest.mark.parametrize("name", NOT_PERSONAL.split())
def test_what_is_about_personal_data_or_sounds_like_it_is_none(name: str) -> None:
    assert what(name, table="orders") is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [("email", "boolean"), ("email", "timestamp"), ("phone", "double"), ("first_name", "long"), ("address", "boolean")],
)
def test_a_column_that_cannot_hold_it_is_none(name: str, kind: Any) -> None:
    assert what(name, kind) is None


def test_numbers_and_dates_hold_what_they_can() -> None:
    assert (what("phone", "long"), what("birth_date", "date"), what("zip", "long")) == (
        "phone",
        "birth date",
        "address",
    )


def test_a_bare_name_is_a_persons_where_the_table_is_of_persons() -> None:
    for table in ("customers", "public.users", "Mitarbeiter", "sales.CustomerContact"):
        assert what("name", table=table) == "person's name"
    assert what("name", table="products") is None
    assert what("file_name", table="users") is None


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (("a@b.example", "c.d@e.org", "x@y.co", "n/a", "z@z.de"), "email"),
        (("10.0.0.1", "192.168.1.20", "::1", "fe80::1/64"), "IP address"),
        (
            ("DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "FR1420041010050500013M02606"),
            "IBAN or account number",
        ),
        (("4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009"), "card number"),
        (("+49 30 901820", "+1 (212) 555-0100", "0033 1 42 68 53 00"), "phone"),
        (("123-45-6789", "078-05-1120", "219-09-9999"), "national id"),
        (("a@b.example", "c.d@e.org"), None),
        (("10.0", "1.2.3", "4"), None),
        (("2024-01-01", "2024-01-02", "2024-01-03"), None),
        (("123456789", "234567890", "345678901"), None),
        (("v1.2.3.4", "a:b:c", "12:30:00"), None),
    ],
)
def test_values_tell_it_where_the_name_does_not(values: tuple[str, ...], wanted: str | None) -> None:
    assert what("note", values=values) == wanted


def test_the_reason_names_what_it_was_guessed_by() -> None:
    emails = (*(f"p{i}@example.com" for i in range(9)), "none")
    found = guess("email", "string", emails)
    assert found is not None and found.reason == "its name and 9 of 10 values"
    found = guess("login_with", "string", emails)
    assert found is not None and found.reason == "9 of 10 values"
    found = guess("email", "string", ("x", "y", "z"))
    assert found is not None and found.reason == "its name"
    found = guess("contact_phone", "string", emails)
    assert found is not None and (found.what, found.reason) == ("email", "9 of 10 values")
    found = guess("cc_number", "string", ())
    assert found is not None and found.classification == "PCI"


def test_check_digits_are_checked() -> None:
    assert is_iban("DE89370400440532013000") and not is_iban("DE88370400440532013000")
    assert is_card("4111111111111111") and not is_card("4111111111111112")
    assert not is_card("0000000000000000") and not is_card("1111111111111117")
    assert is_email("a.b+c@d.example") and not is_email("a@b") and not is_email("@b.de")
    assert is_ip("2001:db8::1") and not is_ip("999.1.1.1") and not is_ip("10:30:15")
    assert is_phone("+49 (0)30 901820") and not is_phone("030901820")
