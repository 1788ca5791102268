"""Ways in: sign-in and its lock-out, closed sign-up, links that work once, the command that prints them."""

import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from tests.web.people import PASSWORD, person, signed_in
from webapp.accounts.actors import SYSTEM
from webapp.accounts.links import one_time_link_create
from webapp.accounts.models import AuditEntry, OneTimeLink, User
from webapp.accounts.rules import Role

HERE, ELSEWHERE = "10.1.1.1", "10.2.2.2"
NEW_PASSWORD = "a quite different long password"


def try_to_sign_in(name: str, password: str, address: str = HERE, client: Client | None = None, **headers):
    """The answer to one try."""
    client = client or Client()
    return client.post("/accounts/login/", {"login": name, "password": password}, REMOTE_ADDR=address, headers=headers)


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def lets_in(name: str, address: str = HERE, password: str = PASSWORD) -> bool:
    client = Client()
    try_to_sign_in(name, password, address, client)
    return is_in(client)


# --- lock-out ------------------------------------------------------------------------------------------------------


def test_the_ninth_try_is_refused_even_with_the_right_password(world):
    for _ in range(8):
        try_to_sign_in("viewer", "wrong")
    assert try_to_sign_in("viewer", PASSWORD).status_code == 429
    assert not lets_in("viewer")


def test_seven_wrong_tries_do_not_lock_out_and_the_right_password_wipes_them(world):
    for _ in range(2):
        for _ in range(7):
            try_to_sign_in("viewer", "wrong")
        assert lets_in("viewer")


def test_a_lock_out_holds_for_one_name_at_one_address(world):
    for _ in range(12):
        try_to_sign_in("viewer", "wrong")
    assert not lets_in("viewer")
    assert lets_in("viewer", ELSEWHERE), "nobody locks a colleague out from elsewhere"
    assert lets_in("owner"), "a ward shares one address"


def test_name_and_e_mail_of_an_account_are_counted_as_one(world):
    for name in ("viewer", "VIEWER", "viewer@ward.example", "Viewer@Ward.example") * 2:
        try_to_sign_in(name, "wrong")
    assert not lets_in("viewer") and not lets_in("viewer@ward.example")


def test_many_colleagues_may_mistype_at_one_address(world):
    for number in range(40):
        try_to_sign_in(f"colleague-{number}", "wrong")
    assert lets_in("viewer")


def test_a_forged_header_changes_nothing_without_proxies_and_the_counted_hop_counts_with_them(world, settings):
    for number in range(8):
        try_to_sign_in("viewer", "wrong", **{"X-Forwarded-For": f"10.9.9.{number}"})
    assert try_to_sign_in("viewer", PASSWORD, **{"X-Forwarded-For": "10.9.9.99"}).status_code == 429

    settings.PROXIES = 1
    for number in range(8):
        try_to_sign_in("manager", "wrong", **{"X-Forwarded-For": f"10.9.9.{number}, {ELSEWHERE}"})
    assert try_to_sign_in("manager", PASSWORD, **{"X-Forwarded-For": f"1.1.1.1, {ELSEWHERE}"}).status_code == 429
    assert try_to_sign_in("manager", PASSWORD, **{"X-Forwarded-For": f"{ELSEWHERE}, 10.3.3.3"}).status_code == 302


def test_wrong_codes_of_the_second_factor_are_limited(world):
    viewer = world.by_role[Role.VIEWER]
    TOTP.activate(viewer, generate_totp_secret())
    client = Client()
    assert try_to_sign_in("viewer", PASSWORD, client=client).url.startswith("/accounts/2fa/authenticate/")
    answers = [client.post("/accounts/2fa/authenticate/", {"code": "000000"}).content.decode() for _ in range(6)]
    assert "Too many" in answers[-1]
    assert not is_in(client)


# --- what strangers learn ------------------------------------------------------------------------------------------


def test_sign_up_is_closed_unless_opened(db, settings):
    form = {"username": "walk-in", "email": "walk@in.example", "password1": PASSWORD, "password2": PASSWORD}
    Client().post("/accounts/signup/", form)
    assert not User.objects.exists()
    settings.OPEN_SIGNUP = True
    Client().post("/accounts/signup/", form)
    assert User.objects.get().username == "walk-in"
    assert AuditEntry.objects.get(verb="user.created").actor == User.objects.get()


def test_a_reset_sends_its_link_where_there_is_mail_and_writes_it_nowhere_else(world, settings, mailoutbox):
    settings.HAS_MAIL = False
    Client().post("/accounts/password/reset/", {"email": "viewer@ward.example"})
    assert not mailoutbox
    settings.HAS_MAIL = True
    Client().post("/accounts/password/reset/", {"email": "viewer@ward.example"})
    (mail,) = mailoutbox
    assert mail.to == ["viewer@ward.example"] and "/accounts/password/reset/key/" in mail.body


def test_a_reset_and_a_wrong_password_do_not_say_who_has_an_account(world):
    known = Client().post("/accounts/password/reset/", {"email": "viewer@ward.example"})
    unknown = Client().post("/accounts/password/reset/", {"email": "ghost@ward.example"})
    assert (known.status_code, known.url) == (unknown.status_code, unknown.url)

    def text(name: str) -> str:
        return try_to_sign_in(name, "wrong").content.decode().replace(name, "NAME").split("csrfmiddlewaretoken")[0]

    assert text("viewer") == text("ghost")
    assert text("viewer@ward.example") == text("ghost@ward.example")


# --- links that work once ------------------------------------------------------------------------------------------


def link_for(user: User, purpose=OneTimeLink.Purpose.SIGN_IN) -> str:
    return one_time_link_create(actor=SYSTEM, user=user, purpose=purpose)


def test_a_sign_in_link_works_once_by_post(world):
    secret = link_for(world.by_role[Role.VIEWER])
    assert Client().get(f"/sign-in/link/?secret={secret}").status_code == 200
    first, second = Client(), Client()
    assert first.post("/sign-in/link/", {"secret": secret}).status_code == 302
    assert is_in(first)
    assert second.post("/sign-in/link/", {"secret": secret}).status_code == 400
    assert not is_in(second)
    assert not OneTimeLink.objects.filter(secret_hash=secret).exists()


def test_a_sign_in_link_still_asks_for_the_second_factor(world):
    viewer = world.by_role[Role.VIEWER]
    TOTP.activate(viewer, generate_totp_secret())
    client = Client()
    assert client.post("/sign-in/link/", {"secret": link_for(viewer)}).url.startswith("/accounts/2fa/authenticate/")
    assert not is_in(client)


@pytest.mark.parametrize(
    "case", ["elsewhere", "proxied", "not allowed", "too old", "replaced", "other purpose", "gone"]
)
def test_a_sign_in_link_that_does_not_work(world, settings, case):
    viewer, meta = world.by_role[Role.VIEWER], {}
    secret = link_for(viewer, OneTimeLink.Purpose.RESET if case == "other purpose" else OneTimeLink.Purpose.SIGN_IN)
    if case == "elsewhere":
        meta["REMOTE_ADDR"] = ELSEWHERE
    elif case == "proxied":
        meta["HTTP_X_FORWARDED_FOR"] = "127.0.0.1"
    elif case == "not allowed":
        settings.ALLOW_ONE_TIME_SIGN_IN = False
    elif case == "too old":
        assert OneTimeLink.objects.get().expires <= timezone.now() + timedelta(minutes=10)
        OneTimeLink.objects.update(expires=timezone.now() - timedelta(seconds=1))
    elif case == "replaced":
        link_for(viewer)
    elif case == "gone":
        User.objects.filter(pk=viewer.pk).update(is_active=False)
    client = Client()
    assert client.post("/sign-in/link/", {"secret": secret}, **meta).status_code in (400, 404)
    assert not is_in(client)


def test_a_reset_link_sets_a_password_and_ends_sessions_and_lock_outs(world):
    viewer = world.by_role[Role.VIEWER]
    elsewhere = signed_in(viewer)
    for _ in range(8):
        try_to_sign_in("viewer", "wrong")
    secret = link_for(viewer, OneTimeLink.Purpose.RESET)

    def set_to(password: str, again: str | None = None):
        form = {"secret": secret, "password1": password, "password2": again or password}
        return Client().post("/password/link/", form)

    assert "too short" in set_to("short").content.decode()
    assert "not alike" in set_to(NEW_PASSWORD, NEW_PASSWORD + "!").content.decode()
    assert set_to(NEW_PASSWORD).url == "/accounts/login/"
    assert lets_in("viewer", password=NEW_PASSWORD)
    assert elsewhere.get("/profile/").status_code == 302
    assert "used before" in set_to(NEW_PASSWORD).content.decode()


def test_the_audit_log_tells_what_allauth_did(world):
    viewer, client = world.by_role[Role.VIEWER], Client()
    try_to_sign_in("viewer", PASSWORD, ELSEWHERE, client)
    form = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    client.post("/accounts/password/change/", form, REMOTE_ADDR=ELSEWHERE)
    lines = AuditEntry.objects.filter(actor=viewer).order_by("id").values_list("verb", "address")
    assert list(lines) == [("user.signed-in", ELSEWHERE), ("user.password", ELSEWHERE)]
    client.logout()
    assert lets_in("viewer", password=NEW_PASSWORD)


# --- the command ---------------------------------------------------------------------------------------------------


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("user", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_makes_people_and_lets_them_back_in(db):
    text = command("create", "Ann", "--email", "Ann@Ward.example", "--operator")
    ann = User.objects.get()
    assert (ann.username, ann.email, ann.is_operator, ann.has_usable_password()) == (
        "Ann",
        "ann@ward.example",
        True,
        False,
    )
    path, _, secret = text.split()[-1].partition("#")
    assert path == "http://localhost:8000/password/link/"
    form = {"secret": secret, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    assert Client().post("/password/link/", form).status_code == 302
    assert lets_in("ann", password=NEW_PASSWORD)

    TOTP.activate(ann, generate_totp_secret())
    command("reset", "ANN", "--second-factor")
    assert not ann.authenticator_set.exists()
    command("operator", "ann", "--end")
    assert not User.objects.get().is_operator
    verbs = list(AuditEntry.objects.filter(via="command").order_by("id").values_list("verb", flat=True))
    assert verbs == ["user.created", "link.reset", "user.second-factor-ended", "link.reset", "operator.ended"]
    with pytest.raises(CommandError, match="called ann already"):
        command("create", "ann")
    with pytest.raises(CommandError, match="no person called bob"):
        command("reset", "bob")


def test_meds3_hands_the_command_on():
    meds3 = Path(sys.executable).with_name("meds3")
    ran = subprocess.run([meds3, "user", "--help"], capture_output=True, text=True, check=True)
    assert "create|reset|operator" in ran.stdout


def test_people_are_told_apart_without_case(db):
    person("ann")
    with pytest.raises(CommandError):
        command("create", "ANN")
