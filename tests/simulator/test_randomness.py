from simulator.randomness import Purpose, generator


def test_the_same_address_gives_the_same_numbers() -> None:
    first, second = (generator(42, Purpose.NOISE, 1, 2).random(5).tolist() for _ in range(2))
    assert first == second


def test_another_seed_purpose_or_place_gives_other_numbers() -> None:
    addresses = [
        (42, Purpose.NOISE, 1, 2),
        (43, Purpose.NOISE, 1, 2),
        (42, Purpose.LOAD, 1, 2),
        (42, Purpose.NOISE, 2, 1),
    ]
    assert len({generator(*address).random() for address in addresses}) == len(addresses)
