from __future__ import annotations

import imaging
from loadtest.payloads import classify_messages, make_images
from proto import classifier_pb2


def test_made_pictures_are_many_and_decode() -> None:
    """The pictures are different JPEG files of a photograph's size, the same for the same seed."""
    images = make_images(seed=3)

    assert len(set(images)) == len(images) >= 16
    assert images == make_images(seed=3)
    assert imaging.decode_crop(images[0], 224, 224).std() > 10


def test_a_message_is_a_request_with_one_image() -> None:
    """What is sent is a ClassifyRequest of the model with the image's bytes."""
    (message,) = classify_messages([b"bytes"], "model")

    assert classifier_pb2.ClassifyRequest.FromString(message) == classifier_pb2.ClassifyRequest(
        model_name="model", images=[b"bytes"]
    )
