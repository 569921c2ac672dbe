def test_lives(client):
    assert client.get("/ready").status_code == 200


def test_admin(client, admin, driver):
    assert client.get("/api/v1/users", headers=admin).json()["total"] >= 2
