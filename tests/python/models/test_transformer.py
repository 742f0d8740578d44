"""The backbone against readable twins: full forward, caches, ragged steps, causality."""

import math

import pytest
import torch
from torch import Tensor

from pycodec_lm import ops
from pycodec_lm.errors import UsageError
from pycodec_lm.models.config import ANNOTATION_SIZES
from pycodec_lm.models.transformer import Transformer, TransformerConfig

# Both sides are float32 and differ in the order of their sums only; logits are of order one.
FLOAT32_SUM_ORDER = 2e-5

VOCAB = 37
CONDITIONS = (("name", 4), ("group", 2))


def make_model(**changes: object) -> Transformer:
    torch.manual_seed(0)
    values = {
        "vocab_size": VOCAB,
        "dim": 32,
        "n_layers": 3,
        "n_heads": 4,
        "n_kv_heads": 2,
        "max_seq_len": 200,
        "conditions": CONDITIONS,
    }
    model = Transformer(TransformerConfig(**(values | changes))).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embedding" in name:  # large enough that every input shows in the logits
                parameter.normal_(std=0.5)
            elif "norm" in name:
                parameter.uniform_(0.5, 1.5)
    return model


def make_inputs(batch: int, length: int, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, VOCAB, (batch, length), generator=generator)
    annotations = torch.stack(
        [torch.randint(0, n, (batch, length), generator=generator) for n in ANNOTATION_SIZES], -1
    ).to(torch.uint8)
    conditions = torch.tensor([[row % 5, row % 3] for row in range(batch)])
    return tokens, annotations, conditions


def reference_forward(
    model: Transformer, tokens: list[int], annotations: Tensor, conditions: list[int]
) -> Tensor:
    """The definition, one sequence, one head and one position at a time, in float64."""
    config = model.config
    weights = {name: tensor.double() for name, tensor in model.state_dict().items()}

    def norm(x: Tensor, name: str) -> Tensor:
        return x / (x.pow(2).mean() + config.norm_eps).sqrt() * weights[f"{name}.weight"]

    def rotate(x: Tensor, position: int) -> Tensor:
        half = len(x) // 2
        turned = x.clone()
        for i in range(half):
            angle = position * config.rope_theta ** (-2 * i / len(x))
            a, b = x[i], x[i + half]
            turned[i] = a * math.cos(angle) - b * math.sin(angle)
            turned[i + half] = b * math.cos(angle) + a * math.sin(angle)
        return turned

    xs = []
    for position, token in enumerate(tokens):
        x = weights["token_embedding.weight"][token]
        first = 0
        for column, size in enumerate(ANNOTATION_SIZES):
            row = first + int(annotations[position, column])
            x = x + weights["annotation_embedding.weight"][row]
            first += size
        if position == 0:
            first = 0
            for (_, n_classes), number in zip(config.conditions, conditions, strict=True):
                x = x + weights["condition_embedding.weight"][first + number]
                first += n_classes + 1
        xs.append(x)
    width = config.head_dim
    for layer in range(config.n_layers):
        block = f"blocks.{layer}"
        queries, keys, values = [], [], []
        for position, x in enumerate(xs):
            mixed = weights[f"{block}.attention.qkv.weight"] @ norm(x, f"{block}.attention_norm")
            heads = mixed.split(width)
            queries.append([rotate(h, position) for h in heads[: config.n_heads]])
            n_rotated = config.n_heads + config.kv_heads
            keys.append([rotate(h, position) for h in heads[config.n_heads : n_rotated]])
            values.append(heads[n_rotated:])
        for position in range(len(xs)):
            outputs = []
            for head in range(config.n_heads):
                # Query head h reads key/value head h // group.
                source = head // (config.n_heads // config.kv_heads)
                scores = torch.stack(
                    [
                        queries[position][head] @ keys[earlier][source] / math.sqrt(width)
                        for earlier in range(position + 1)
                    ]
                )
                share = scores.softmax(0)
                outputs.append(
                    sum(share[earlier] * values[earlier][source] for earlier in range(position + 1))
                )
            out = weights[f"{block}.attention.out.weight"] @ torch.cat(outputs)
            x = xs[position] + out
            gate, up = (
                weights[f"{block}.feed_forward.gate_up.weight"]
                @ norm(x, f"{block}.feed_forward_norm")
            ).chunk(2)
            hidden = gate * torch.sigmoid(gate) * up
            xs[position] = x + weights[f"{block}.feed_forward.down.weight"] @ hidden
    return torch.stack([weights["head.weight"] @ norm(x, "norm") for x in xs]).float()


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_forward_equals_the_definition(n_kv_heads: int) -> None:
    model = make_model(n_kv_heads=n_kv_heads)
    tokens, annotations, conditions = make_inputs(2, 9)
    logits = model(tokens, annotations, conditions)
    for row in range(2):
        expected = reference_forward(
            model, tokens[row].tolist(), annotations[row], conditions[row].tolist()
        )
        torch.testing.assert_close(logits[row], expected, atol=FLOAT32_SUM_ORDER, rtol=0)


def test_changes_after_t_change_no_logit_up_to_t() -> None:
    model = make_model()
    tokens, annotations, conditions = make_inputs(1, 24)
    logits = model(tokens, annotations, conditions)
    for t in range(23):
        other_tokens, other_annotations = tokens.clone(), annotations.clone()
        other_tokens[:, t + 1 :] = (other_tokens[:, t + 1 :] + 1) % VOCAB
        other_annotations[:, t + 1 :] = (other_annotations[:, t + 1 :] + 1) % 5
        changed = model(other_tokens, other_annotations, conditions)
        assert torch.equal(changed[:, : t + 1], logits[:, : t + 1])
        assert not torch.equal(changed[:, t + 1], logits[:, t + 1])


def test_every_annotation_column_reaches_its_own_position() -> None:
    model = make_model()
    tokens, annotations, conditions = make_inputs(1, 6)
    logits = model(tokens, annotations, conditions)
    for column, size in enumerate(ANNOTATION_SIZES):
        other = annotations.clone()
        other[0, 5, column] = (int(other[0, 5, column]) + 1) % size
        changed = model(tokens, other, conditions)
        assert torch.equal(changed[:, :5], logits[:, :5])
        assert not torch.equal(changed[:, 5], logits[:, 5])


def test_no_conditions_means_null_conditions() -> None:
    model = make_model()
    tokens, annotations, _ = make_inputs(2, 5)
    nulls = torch.tensor([[4, 2], [4, 2]])
    assert torch.equal(model(tokens, annotations, None), model(tokens, annotations, nulls))
    assert not torch.equal(
        model(tokens, annotations, None), model(tokens, annotations, torch.zeros_like(nulls))
    )


@pytest.mark.parametrize("changes", [{}, {"codec_inputs": False}, {"tie_embeddings": True}])
def test_steps_with_a_cache_equal_the_full_forward(changes: dict[str, object]) -> None:
    model = make_model(**changes)
    tokens, annotations, conditions = make_inputs(3, 80)
    full = model(tokens, annotations, conditions)
    cache = model.new_cache(3, 80)
    for t in range(80):
        logits = model.step(
            tokens[:, t : t + 1],
            annotations[:, t : t + 1],
            torch.full((3, 1), t),
            cache,
            conditions_BC=conditions if t == 0 else None,
        )
        torch.testing.assert_close(logits, full[:, t], atol=FLOAT32_SUM_ORDER, rtol=0)


def ragged_run(
    model: Transformer, chunks: list[list[int]], left: bool
) -> tuple[list[list[Tensor]], Tensor]:
    """Feeds each row in chunks of its own lengths (0 = the row waits); logits after each chunk."""
    n_rows, length = len(chunks[0]), 60
    tokens, annotations, conditions = make_inputs(n_rows, length)
    full = model(tokens, annotations, conditions)
    cache = model.new_cache(n_rows, length)
    at = [0] * n_rows
    seen: list[list[Tensor]] = [[] for _ in range(n_rows)]
    for sizes in chunks:
        width = max(sizes)
        shape = (n_rows, width)
        chunk_tokens, positions = torch.zeros(shape, dtype=torch.int64), torch.full(shape, -7)
        chunk_annotations = torch.zeros((*shape, 8), dtype=torch.uint8)
        valid = torch.zeros(shape, dtype=torch.bool)
        for row, size in enumerate(sizes):
            place = slice(width - size, width) if left else slice(0, size)
            source = slice(at[row], at[row] + size)
            chunk_tokens[row, place] = tokens[row, source]
            chunk_annotations[row, place] = annotations[row, source]
            positions[row, place] = torch.arange(at[row], at[row] + size)
            valid[row, place] = True
        logits = model.step(chunk_tokens, chunk_annotations, positions, cache, valid, conditions)
        assert torch.isfinite(logits).all()
        for row, size in enumerate(sizes):
            at[row] += size
            if size:
                seen[row].append(logits[row])
                torch.testing.assert_close(
                    logits[row], full[row, at[row] - 1], atol=FLOAT32_SUM_ORDER, rtol=0
                )
    return seen, full


@pytest.mark.parametrize("left", [False, True])
def test_ragged_chunks_equal_one_by_one(left: bool) -> None:
    chunks = [[1, 5, 3], [2, 0, 1], [7, 1, 4], [0, 0, 1], [1, 20, 0], [3, 3, 3], [11, 1, 40]]
    seen, _ = ragged_run(make_model(), chunks, left)
    assert [len(row) for row in seen] == [6, 5, 6]


@pytest.mark.parametrize("at", [12, 500])
@pytest.mark.parametrize("n_fed", [1, 3])
def test_a_row_does_not_depend_on_its_neighbours(at: int, n_fed: int) -> None:
    # With equal shapes the sums are the same to the last bit, whatever the neighbours hold.
    model = make_model(max_seq_len=1300)
    tokens, annotations, _ = make_inputs(4, at + n_fed)
    results = []
    for seed in (5, 6):
        other_tokens, other_annotations, _ = make_inputs(4, at + n_fed, seed)
        other_tokens[2], other_annotations[2] = tokens[2], annotations[2]
        cache = model.new_cache(4, 1290)
        positions = torch.arange(at).expand(4, -1).clone()
        model.step(other_tokens[:, :at], other_annotations[:, :at], positions, cache)
        # One neighbour runs far ahead, or none does.
        far = torch.arange(at, at + n_fed).expand(4, -1).clone()
        if seed == 5:
            far[0] += 1200 - at
        logits = model.step(other_tokens[:, at:], other_annotations[:, at:], far, cache)
        results.append(logits[2])
    assert torch.equal(*results)


def test_one_token_a_row_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By `attention_decode`, and the logits are those of the whole sequence."""
    model = make_model()
    tokens, annotations, conditions = make_inputs(3, 9)
    full = model(tokens, annotations, conditions)
    cache = model.new_cache(3, 9)
    calls: list[list[int]] = []
    decode = ops.attention_decode

    def counting(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor) -> object:
        calls.append(lengths.tolist())
        return decode(q, k, v, lengths)

    monkeypatch.setattr(ops, "attention_decode", counting)
    first = model.step(
        tokens[:, :4], annotations[:, :4], torch.arange(4).expand(3, -1), cache, None, conditions
    )
    torch.testing.assert_close(first, full[:, 3], atol=FLOAT32_SUM_ORDER, rtol=0)
    assert not calls
    for t in range(4, 9):
        at = torch.full((3, 1), t)
        logits = model.step(tokens[:, t : t + 1], annotations[:, t : t + 1], at, cache)
        torch.testing.assert_close(logits, full[:, t], atol=FLOAT32_SUM_ORDER, rtol=0)
        assert calls[-3:] == [[t + 1] * 3] * 3  # three layers


@pytest.mark.parametrize("n_fed", [1, 3])
def test_on_a_gpu_the_host_looks_at_nothing(n_fed: int) -> None:
    """Tensors without numbers take the GPU's way, and complain of every look."""
    model = make_model().to("meta")
    cache = model.new_cache(3, 9)
    tokens, annotations, conditions = (x.to("meta") for x in make_inputs(3, n_fed))
    positions = torch.zeros(3, n_fed, dtype=torch.int64, device="meta")
    valid = torch.ones(3, n_fed, dtype=torch.bool, device="meta")
    for given in (None, valid):
        logits = model.step(tokens, annotations, positions, cache, given, conditions)
        assert logits.shape == (3, VOCAB)


def test_without_a_look_a_position_outside_the_cache_gives_nan_in_its_row() -> None:
    model = make_model()
    tokens, annotations, conditions = make_inputs(4, 10)
    full = model(tokens, annotations, conditions)
    cache = model.new_cache(4, 10)
    cache.is_looked_at = False
    positions = torch.arange(9).expand(4, -1)
    logits = model.step(
        tokens[:, :9], annotations[:, :9], positions, cache, conditions_BC=conditions
    )
    torch.testing.assert_close(logits, full[:, 8], atol=FLOAT32_SUM_ORDER, rtol=0)
    for bad in (-1, 10, 1 << 40):
        for n_fed in (1, 2):
            far = torch.arange(10 - n_fed, 10).expand(4, -1).clone()
            far[1, -1] = bad
            new = slice(10 - n_fed, 10)
            logits = model.step(tokens[:, new], annotations[:, new], far, cache)
            assert logits[1].isnan().all()
            fine = torch.tensor([0, 2, 3])
            torch.testing.assert_close(logits[fine], full[fine, 9], atol=FLOAT32_SUM_ORDER, rtol=0)
    # What was written before is whole.
    logits = model.step(tokens[:, 9:], annotations[:, 9:], torch.full((4, 1), 9), cache)
    torch.testing.assert_close(logits, full[:, 9], atol=FLOAT32_SUM_ORDER, rtol=0)


def test_a_row_does_not_depend_on_the_number_of_rows() -> None:
    model = make_model()
    tokens, annotations, _ = make_inputs(20, 30)

    def last_logits(n_rows: int) -> Tensor:
        cache = model.new_cache(n_rows, 30)
        for t in range(30):
            logits = model.step(
                tokens[:n_rows, t : t + 1],
                annotations[:n_rows, t : t + 1],
                torch.full((n_rows, 1), t),
                cache,
            )
        return logits[0]

    alone = last_logits(1)
    for n_rows in (2, 3, 5, 16, 20):
        # Bit-equal on the CPUs we measured; other BLAS libraries may group sums by shape.
        torch.testing.assert_close(last_logits(n_rows), alone, atol=FLOAT32_SUM_ORDER, rtol=0)


def test_going_back_is_stepping_at_smaller_positions() -> None:
    model = make_model()
    tokens, annotations, conditions = make_inputs(1, 20)
    full = model(tokens, annotations, conditions)
    cache = model.new_cache(1, 20)
    positions = torch.arange(20)[None]
    wrong = (tokens + 1) % VOCAB
    wrong[:, :8] = tokens[:, :8]
    model.step(wrong, annotations, positions, cache, conditions_BC=conditions)
    logits = model.step(tokens[:, 8:], annotations[:, 8:], positions[:, 8:], cache)
    torch.testing.assert_close(logits, full[:, -1], atol=FLOAT32_SUM_ORDER, rtol=0)


def test_select_reorders_and_repeats_rows() -> None:
    model = make_model()
    tokens, annotations, conditions = make_inputs(3, 10)
    full = model(tokens, annotations, conditions)
    cache = model.new_cache(3, 10)
    positions = torch.arange(9).expand(3, -1)
    model.step(tokens[:, :9], annotations[:, :9], positions, cache, conditions_BC=conditions)
    rows = torch.tensor([2, 0, 2, 1])
    cache.select(rows)
    logits = model.step(tokens[rows, 9:], annotations[rows, 9:], torch.full((4, 1), 9), cache)
    torch.testing.assert_close(logits, full[rows, 9], atol=FLOAT32_SUM_ORDER, rtol=0)


def test_gradients_reach_every_parameter() -> None:
    model = make_model().train()
    tokens, annotations, conditions = make_inputs(4, 12)
    loss = model(tokens, annotations, conditions).logsumexp(-1).sum()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"n_heads": 5}, "heads"),
        ({"n_kv_heads": 3}, "n_kv_heads"),
        ({"dim": 12}, "even width"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        make_model(**changes)


def test_misuse_is_refused() -> None:
    model = make_model()
    tokens, annotations, _ = make_inputs(2, 4)
    with pytest.raises(UsageError, match="max_seq_len"):
        model(torch.zeros(1, 201, dtype=torch.int64), torch.zeros(1, 201, 8), None)
    with pytest.raises(UsageError, match="annotations"):
        model(tokens, None, None)
    with pytest.raises(UsageError, match="max_seq_len"):
        model.new_cache(2, 201)
    cache = model.new_cache(2, 3)
    positions = torch.arange(4).expand(2, -1)
    with pytest.raises(UsageError, match="position 3"):
        model.step(tokens, annotations, positions, cache)
    with pytest.raises(UsageError, match="rows"):
        model.step(tokens[:1, :1], annotations[:1, :1], positions[:1, :1], cache)


def test_config_round_trip_and_unknown_key() -> None:
    config = make_model().config
    assert TransformerConfig.from_dict(config.to_dict()) == config
    with pytest.raises(UsageError, match="unknown key 'colour'"):
        TransformerConfig.from_dict({"vocab_size": 3, "colour": 1})


def test_whole_graph_compiles_and_is_exported() -> None:
    model, inputs = make_model(), make_inputs(2, 24)
    expected = model(*inputs)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), expected, atol=FLOAT32_SUM_ORDER, rtol=0)
    program = torch.export.export(model, inputs)
    torch.testing.assert_close(program.module()(*inputs), expected, atol=FLOAT32_SUM_ORDER, rtol=0)
