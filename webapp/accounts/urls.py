"""URLs of accounts: those of the instance, and those inside a team."""

from django.urls import path
from django.views.generic import RedirectView

from webapp.accounts.views import entrance, own
from webapp.accounts.views import team as team_views

instance = [
    path("invitation/", entrance.invitation, name="invitation"),
    path("invitation/answer/", entrance.invitation_answer, name="invitation-answer"),
    path("invitation/join/", entrance.invitation_join, name="invitation-join"),
    path("sign-in/link/", entrance.one_time_sign_in, name="one-time-sign-in"),
    path("password/link/", entrance.new_password, name="new-password"),
    path("profile/", own.profile, name="profile"),
    path("profile/email/", own.email, name="profile-email"),
    path("teams/new/", own.new_team, name="team-create"),
    # One page for one's address: allauth's own would need a mail server to change it.
    path("accounts/email/", RedirectView.as_view(pattern_name="profile-email")),
]

team = [
    path("members/", team_views.members, name="team-members"),
    path("members/invite/", team_views.invite, name="team-invite"),
    path("members/leave/", team_views.leave, name="team-leave"),
    path("members/<uuid:membership_id>/role/", team_views.member_role, name="team-member-role"),
    path("members/<uuid:membership_id>/remove/", team_views.member_remove, name="team-member-remove"),
    path("invitations/<uuid:invitation_id>/revoke/", team_views.revoke_invitation, name="team-invitation-revoke"),
    path("settings/", team_views.team_settings, name="team-settings"),
    path("audit/", team_views.audit, name="team-audit"),
    path("tokens/", team_views.tokens, name="team-tokens"),
    path("tokens/<uuid:token_id>/revoke/", team_views.revoke_token, name="team-token-revoke"),
]
