"""Clips: prompts are cut after a picture, files go on from there, and the sheet shows what came."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from clip_files import clip_file, pan
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm.cli.main import main
from pycodec_lm.codecs.avc import AvcSettings, annex_b, decode, encode, prefix_of_frames
from pycodec_lm.codecs.clips import Clip
from pycodec_lm.errors import UsageError
from pycodec_lm.generation import generate, score
from pycodec_lm.generation.clips import clip_prompt, clip_rows, frozen_ending
from pycodec_lm.models.checkpoint import Checkpoint, save_checkpoint

from .conftest import make_clip_checkpoint

SETTINGS = AvcSettings(64, 48, fps=5, frames=4, qp=40)
BUDGET = 56


@pytest.fixture(scope="module")
def clips() -> Checkpoint:
    return make_clip_checkpoint(SETTINGS)


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Two seconds at 25 a second."""
    return clip_file(pan(50, 96, 72))


@pytest.mark.parametrize("slices", ["picture", "macroblock"])
@pytest.mark.parametrize("profile", ["baseline", "high"])
def test_files_go_on_from_the_first_pictures_of_a_clip(
    clip: bytes, slices: str, profile: str
) -> None:
    settings = AvcSettings(32, 32, fps=5, frames=4, qp=40, slices=slices, profile=profile)
    checkpoint = make_clip_checkpoint(settings)
    whole = encode(Clip(clip).frames(settings), settings)
    files = generate(checkpoint, n=2, prompt=clip, keep_frames=3, max_tokens=BUDGET)
    for file in files:
        assert file.valid, file.verdict.message
        assert file.data.startswith(prefix_of_frames(whole, 3))
        frames = decode(file.data)
        assert frames.shape == (4, 32, 32, 3)
        assert (frames[:3] == decode(whole)[:3]).all()
    assert files[0].data != files[1].data


def test_clips_with_b_pictures_go_on_where_all_that_came_is_shown(clip: bytes) -> None:
    settings = AvcSettings(32, 32, fps=5, frames=7, qp=40, profile="high", b_frames=2)
    checkpoint = make_clip_checkpoint(settings)
    whole = encode(Clip(clip).frames(settings), settings)
    (file,) = generate(checkpoint, prompt=clip, keep_frames=4, max_tokens=150)
    assert file.valid, file.verdict.message
    assert file.data.startswith(prefix_of_frames(whole, 4))
    frames = decode(file.data)
    assert frames.shape == (7, 32, 32, 3)
    assert (frames[:4] == decode(whole)[:4]).all()
    frozen = decode(clip_prompt(checkpoint, clip, 4).frozen)
    assert (frozen[4:] == frozen[3]).all()
    with pytest.raises(UsageError, match="2 B pictures in a row: keep 1, 4, 7, and so on"):
        clip_prompt(checkpoint, clip, 3)


def test_clips_are_written_without_a_prompt_too(clips: Checkpoint) -> None:
    (file,) = generate(clips, max_tokens=BUDGET)
    assert file.valid, file.verdict.message
    assert decode(file.data).shape == (4, 48, 64, 3)
    assert file.n_tokens <= BUDGET


def test_a_path_its_contents_and_their_frames_are_the_same_prompt(
    clips: Checkpoint, clip: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    frames = Clip(clip).frames(SETTINGS)
    prompts = [clip_prompt(clips, source, 3) for source in (clip, path, str(path), frames)]
    assert len({prompt.stream for prompt in prompts}) == 1
    assert all((prompt.frames == frames).all() for prompt in prompts)
    by_prompt, by_path = (
        generate(clips, prompt=prompt, keep_frames=3, max_tokens=BUDGET)[0].data
        for prompt in (prompts[0], path)
    )
    assert by_prompt == by_path


def test_a_clip_need_not_be_longer_than_what_is_kept(clips: Checkpoint) -> None:
    frames = pan(4, 64, 48)
    long, short = clip_prompt(clips, frames, 2), clip_prompt(clips, frames[:2], 2)
    assert long.stream == short.stream
    assert (len(long.frames), len(short.frames)) == (4, 2)
    file = clip_file(pan(11, 64, 48))  # 0.44 s
    assert len(clip_prompt(clips, file, 2).frames) == 2


def test_the_frozen_ending_repeats_the_last_picture(clips: Checkpoint, clip: bytes) -> None:
    prompt = clip_prompt(clips, clip, 2)
    assert pcl.check(prompt.frozen).valid
    frames = decode(prompt.frozen)
    assert len(frames) == 4
    assert (frames[1:] == frames[1]).all()
    assert (frames[0] != frames[1]).any()


def test_all_frames_may_be_kept(clips: Checkpoint, clip: bytes) -> None:
    (file,) = generate(clips, prompt=clip, keep_frames=4, max_tokens=BUDGET)
    assert file.data == encode(Clip(clip).frames(SETTINGS), SETTINGS)
    assert file.n_draws == 0


def test_what_a_model_wrote_it_can_score(clips: Checkpoint) -> None:
    (file,) = generate(clips, max_tokens=BUDGET)
    result = score(clips, file.data)
    assert result.tokens == file.tokens
    # The budget took choices away that the score knows of.
    assert sum(result.log_probs) <= file.log_probability < 0


def test_rows_show_the_clip_what_came_of_it_and_the_frozen_ending(
    clips: Checkpoint, clip: bytes
) -> None:
    prompt = clip_prompt(clips, clip, 2)
    files = generate(clips, n=2, prompt=prompt, max_tokens=BUDGET)
    rows = clip_rows(files, prompt)
    assert [row.caption for row in rows] == ["original, 2 frames kept", "000", "001", "frozen"]
    assert [len(row.frames) for row in rows] == [4] * 4
    assert [row.error for row in rows] == [""] * 4
    assert [row.caption for row in clip_rows(files)] == ["000", "001"]


def test_rows_of_broken_clips_say_what_is_wrong(clips: Checkpoint) -> None:
    (file,) = generate(clips, mask=False, temperature=2.0, top_p=1.0, max_tokens=BUDGET)
    (row,) = clip_rows([file])
    assert not file.valid
    assert row.error == file.verdict.message


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"prompt": b"no clip", "keep_frames": 2}, "the prompt: not a clip that PyAV can read"),
        ({"prompt": pan(1, 64, 48), "keep_frames": 2}, "keep_frames = 2, but the prompt has 1"),
        ({"prompt": pan(4, 64, 48), "keep_frames": 0}, r"keep_frames = 0, must be in \[1, 4\]"),
        ({"prompt": pan(4, 64, 48), "keep_frames": 5}, r"keep_frames = 5, must be in \[1, 4\]"),
        ({"prompt": pan(4, 64, 48)}, r"keep_frames = 10, must be in \[1, 4\]"),
        ({"prompt": pan(4, 64, 64), "keep_frames": 2}, "the frames are uint8 .4, 64, 64, 3."),
        ({"keep": 0.5}, "this model writes clips: give keep_frames, not keep"),
        ({"prompt": Image.new("RGB", (64, 48))}, "a picture is no prompt for it"),
    ],
)
def test_misuse_is_named(clips: Checkpoint, arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        generate(clips, max_tokens=BUDGET, **arguments)  # type: ignore[arg-type]


def test_models_of_pictures_take_no_clips(checkpoint: Checkpoint) -> None:
    with pytest.raises(UsageError, match="this model writes pictures; a clip is no prompt for it"):
        generate(checkpoint, prompt=pan(4, 64, 48))
    with pytest.raises(UsageError, match="writes pictures: give keep, not keep_frames"):
        generate(checkpoint, keep_frames=2)
    with pytest.raises(UsageError, match="this model writes pictures"):
        clip_prompt(dataclasses.replace(checkpoint, training={"settings": {}}), b"", 2)


def test_a_checkpoint_must_say_how_its_clips_were_encoded(clips: Checkpoint) -> None:
    without = dataclasses.replace(clips, training={})
    assert generate(without, max_tokens=BUDGET)[0].valid
    with pytest.raises(UsageError, match="does not say how its clips were encoded"):
        generate(without, prompt=pan(4, 64, 48), keep_frames=2)
    other = dataclasses.replace(clips, training={"settings": {"quality": 25}})
    with pytest.raises(UsageError, match="settings are none of"):
        generate(other, prompt=pan(4, 64, 48), keep_frames=2)


def test_a_prompt_of_another_grammar_is_named(clips: Checkpoint) -> None:
    with pytest.raises(UsageError, match="the prompt begins no stream of this model"):
        frozen_ending(pcl.AvcGrammar.avc_lm(64, 64, 4), encode(pan(4, 64, 48), SETTINGS))


@pytest.fixture(scope="module")
def folder(clips: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "checkpoint"
    save_checkpoint(path, clips)
    return str(path)


def test_command_writes_streams_clips_and_a_sheet(
    folder: str, clips: Checkpoint, clip: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip)
    out = tmp_path / "out"
    prompt = ["--prompt", str(tmp_path / "clip.mp4"), "--keep-frames", "2"]
    arguments = ["--checkpoint", folder, "-n", "2", "-o", str(out), "--max-tokens", str(BUDGET)]
    assert main(["generate", *arguments, *prompt]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{out / '000.264'}: valid, ")
    assert lines[2] == str(out / "sheet.png")
    names = ["000.264", "000.mp4", "001.264", "001.mp4", "sheet.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    expected = generate(clips, n=2, prompt=clip, keep_frames=2, max_tokens=BUDGET)
    for i, file in enumerate(expected):
        stream = (out / f"00{i}.264").read_bytes()
        assert stream == file.data
        remuxed = (out / f"00{i}.mp4").read_bytes()
        assert (decode(annex_b(remuxed)) == decode(stream)).all()
        assert Clip(remuxed).n_frames(SETTINGS.fps) == 4
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.height > 4 * 48 and sheet.width > 4 * 64

    assert main(["check", *map(str, sorted(out.glob("*.264")))]) == 0
    checked = capsys.readouterr().out
    assert checked.count(": valid (H.264); note: 4 pictures\n") == 2


def test_check_goes_on_behind_a_clip_that_is_not_h264(
    clips: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, stream = tmp_path / "other.mp4", tmp_path / "clip.264"
    other.write_bytes(clip_file(pan(4, 64, 48), codec="mpeg4"))
    stream.write_bytes(encode(pan(4, 64, 48), SETTINGS))
    assert main(["check", str(other), str(stream)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{other}: unsupported: this is MP4, without an H.264 stream")
    assert "the video is mpeg4" in first
    assert second == f"{stream}: valid (H.264); note: 4 pictures"


def test_command_speaks_json(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint", folder, "-n", "1", "-o", str(tmp_path), "--json"]
    assert main(["generate", *arguments, "--max-tokens", str(BUDGET)]) == 0
    first, whole = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["file"], first["mp4"]) == (str(tmp_path / "000.264"), str(tmp_path / "000.mp4"))
    assert first["valid"]
    assert (whole["files"], whole["valid"]) == (1, 1)

    free = ["--no-mask", "--temperature", "3", "--top-p", "1", "--max-tokens", "9"]
    assert main(["generate", *arguments, *free]) == 1
    first, whole = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["mp4"] is None
    assert not first["valid"]


def test_command_streams_the_bytes(
    folder: str, clips: Checkpoint, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = ["--checkpoint", folder, "-n", "1", "--max-tokens", str(BUDGET), "--stream"]
    assert main(["generate", *arguments]) == 0
    assert capfdbinary.readouterr().out == generate(clips, max_tokens=BUDGET)[0].data


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--keep", "0.5"], "--keep is for pictures, and this model writes clips"),
        (["--keep-frames", "2"], "give that clip with --prompt"),
        (["--keep-frames", "2", "--prompt", "missing.mp4"], r"missing\.mp4: No such file"),
        (["--keep-frames", "9", "--prompt", "missing.mp4"], "keep_frames = 9"),
        (["--prompt", __file__, "--keep-frames", "2"], "not a clip that PyAV can read"),
    ],
)
def test_misuse_of_the_command_is_one_line(
    folder: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    out = tmp_path / "samples"
    assert main(["generate", "--checkpoint", folder, "-o", str(out), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"pycodec-lm generate: error: [^\n]+\n", captured.err)
    assert re.search(complaint, captured.err)
    assert not out.exists()


def test_options_of_clips_are_not_for_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-o", str(tmp_path / "out"), "--keep-frames", "2", "--prompt", "clip.mp4"]
    assert main(["generate", *arguments]) == 2
    assert "--keep-frames is for clips" in capsys.readouterr().err
