"""URLs of the way in and out."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from dlmsite.access.views import LinkLogin, PasswordLogin

app_name = "access"
urlpatterns = [
    path("login/", PasswordLogin.as_view(), name="login"),
    path("login/<str:token>/", LinkLogin.as_view(), name="link"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
