"""The JSON here is made by hand after what TensorRT 8.6 to 11 write; field names and wordings are theirs."""

import json
import random
from typing import Any

import pytest

from edgesr.export.proof import Convolution, layer_table, prove_precision
from edgesr.runtime.errors import PrecisionNotMet

NHWC8 = "Channel major FP16 format where channel % 8 == 0"
FLOAT = "Row major linear FP32"
INT8 = "Thirty-two wide channel vectorized row major Int8 format"
HALF_KERNEL = "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x64_tensor16x8x16_t1r3s3"
TF32_KERNEL = "sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize64x128_tensor16x8x8"
FLOAT_KERNEL = "ampere_scudnn_128x64_relu_xregs_large_nn_v1"


def tensor(name: str, kind: str) -> dict[str, Any]:
    return {"Name": name, "Location": "Device", "Dimensions": [1, 32, 180, 320], "Format/Datatype": kind}


def cask(name: str, kind: str = NHWC8, weights: str = "Half", tactic: str = HALF_KERNEL, **more: Any) -> dict[str, Any]:
    """A convolution as 8.6 writes it."""
    return {
        "Name": name,
        "LayerType": "CaskConvolution",
        "Inputs": [tensor("in", kind)],
        "Outputs": [tensor("out", kind)],
        "ParameterType": "Convolution",
        "Kernel": [3, 3],
        "OutMaps": 32,
        "Groups": 1,
        "Weights": {"Type": weights, "Count": 9216},
        "Bias": {"Type": "Float", "Count": 32},
        "TacticName": tactic,
        "TacticValue": "0x484561b9d0f4f1b4",
    } | more


def in_fp32(name: str, **more: Any) -> dict[str, Any]:
    return cask(name, FLOAT, "Float", FLOAT_KERNEL, **more)


def compiled(
    nodes: list[str], kind: str, tactic: str, joint: str = "\x1e", name: str = "__myl_ConvRelu_myl0_3"
) -> dict[str, Any]:
    """A layer within a compiled part, as 10.x writes it."""
    metadata = joint.join(f"[ONNX Layer: {node}]" for node in nodes)
    return {
        "Name": name,
        "LayerType": "kgen",
        "Inputs": [tensor("a", kind), tensor("shape", "Int32")],
        "Outputs": [tensor("b", kind)],
        "TacticName": tactic,
        "StreamId": 0,
        "Metadata": metadata,
    }


def reformat(of: str, kind: str = FLOAT) -> dict[str, Any]:
    name = f"Reformatting CopyNode for Input Tensor 0 to {of}"
    inputs = {"Inputs": [tensor("x", kind)], "Outputs": [tensor("y", NHWC8)]}
    return {"Name": name, "LayerType": "Reformat", "ParameterType": "Reformat", "Origin": "REFORMAT", **inputs}


def engine(*layers: Any, ends: str = "Bindings") -> str:
    return json.dumps({"Layers": list(layers), ends: ["frame", "upscaled"]})


def network(*names: str) -> list[Convolution]:
    return [Convolution(name, 1.0) for name in names]


def found(layers: str, *names: str, asked: str = "fp16") -> dict[str, float]:
    return prove_precision(layers, network(*names), asked, least=0.0).found


def test_an_fp16_engine_of_8_6_is_proven() -> None:
    layers = engine(
        reformat("conv_1 + relu_1", "Row major linear UInt8 format"),
        cask("conv_1 + relu_1"),
        cask("/body/conv_2/Conv"),
        cask("up.weight + conv_3 + PWN(PWN(sigmoid_1), mul_1)"),
        {"Name": "shuffle", "LayerType": "Shuffle", "Inputs": [tensor("z", FLOAT)], "Outputs": []},
    )
    proof = prove_precision(layers, network("conv_1", "/body/conv_2/Conv", "conv_3"), "fp16")
    assert proof.share == 1.0 and proof.found == {"fp16": 1.0} and proof.layers == 5
    assert proof.elsewhere == {} and proof.exempt == {} and proof.asked == "fp16"


def test_an_fp32_engine_is_not_taken_for_fp16() -> None:
    layers = engine(cask("a"), in_fp32("b"))
    convolutions = [Convolution("a", 1.0), Convolution("b", 3.0)]
    with pytest.raises(
        PrecisionNotMet, match=r"25\.0% .* fp16, expected at least 90%: b \(75\.0%\): fp32; .*--workspace"
    ):
        prove_precision(layers, convolutions, "fp16")
    assert prove_precision(layers, convolutions, "fp16", least=0.25).elsewhere == {"b": "fp32"}


def test_exempt_convolutions_are_listed_and_do_not_count() -> None:
    convolutions = [Convolution("a", 1.0), Convolution("b", 3.0, exempt="whole-frame statistics")]
    proof = prove_precision(engine(cask("a"), in_fp32("b")), convolutions, "fp16")
    assert proof.share == 1.0 and proof.found == {"fp16": 0.25, "fp32": 0.75}
    assert proof.exempt == {"b": "whole-frame statistics"} and proof.elsewhere == {}
    with pytest.raises(PrecisionNotMet, match=r"no convolution has to run in fp16; exempt: b \(x\)"):
        prove_precision(engine(in_fp32("b")), [Convolution("b", 3.0, exempt="x")], "fp16")


def test_tf32_is_seen_by_the_kernels_name() -> None:
    layers = engine(cask("a", "Channel major FP32 format", "Float", TF32_KERNEL), in_fp32("b"))
    assert found(layers, "a", "b") == {"tf32": 0.5, "fp32": 0.5}
    with pytest.raises(PrecisionNotMet, match=r"a \(50\.0%\): tf32; unset NVIDIA_TF32_OVERRIDE"):
        prove_precision(layers, network("a", "b"), "fp32")


def test_where_tf32_is_asked_for_fp32_counts_too_but_not_alone() -> None:
    mixed = engine(cask("a", FLOAT, "Float", TF32_KERNEL), in_fp32("b"))
    assert prove_precision(mixed, network("a", "b"), "tf32").share == 1.0
    with pytest.raises(PrecisionNotMet, match=r"^0\.0% .*tf32.*Ampere"):
        prove_precision(engine(in_fp32("a"), in_fp32("b")), network("a", "b"), "tf32")


@pytest.mark.parametrize(
    ("tactic", "precision"),
    [
        ("sm80_xmma_fprop_implicit_gemm_f32f32_f32f32_f32_nhwckrsc_nhwc_tilesize128x64", "fp32"),
        ("", "fp32"),
        ("__myl_ConvRelu_0x1f16bf16884e", "fp32"),
        ("cutlass_80_tensorop_s1688fprop_optimized_128x128", "tf32"),
        ("ampere_fp16_s16816cudnn_fp16_128x64", "unclear"),
    ],
)
def test_fp32_data_may_be_rounded_on_the_way(tactic: str, precision: str) -> None:
    assert found(engine(cask("a", FLOAT, "Float", tactic)), "a") == {precision: 1.0}


@pytest.mark.parametrize(
    "tactic", ["sm80_xmma_fprop_implicit_gemm_interleaved_i8f16_i8i32_f32_nchw", "", "turing_fp16_i8816cudnn_int8"]
)
def test_int8_with_a_residual_of_another_type_is_int8(tactic: str) -> None:
    inputs = [tensor("x", INT8), tensor("skip", "Thirty-two wide channel vectorized row major FP16 format")]
    layers = engine(cask("QuantizeLinear_7 + conv_1", INT8, "Int8", tactic, Inputs=inputs), cask("head"))
    convolutions = [Convolution("conv_1", 9.0), Convolution("head", 1.0, exempt="first")]
    proof = prove_precision(layers, convolutions, "int8")
    assert proof.share == 1.0 and proof.found == pytest.approx({"int8": 0.9, "fp16": 0.1})


def test_weights_of_another_type_than_the_data_prove_nothing() -> None:
    assert found(engine(cask("a", FLOAT, "Half", "")), "a") == {"unclear": 1.0}
    assert found(engine(cask("a", "a wording of tomorrow", "Half", "")), "a") == {"unclear": 1.0}


@pytest.mark.parametrize("joint", ["\x1e", "\x1f", "", " "])
@pytest.mark.parametrize(
    ("kind", "tactic", "precision"),
    [
        ("Half", "", "fp16"),
        ("Half", "sm86_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc", "fp16"),
        ("Float", "sm86_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_tn_n", "tf32"),
        ("BFloat16", "sm80_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwc", "bf16"),
        ("Row major linear BFloat16 format", "", "bf16"),
        ("Float", "__myl_ConvRelu_0x1d2f", "fp32"),
        ("Int8", "", "int8"),
        ("UInt8", "", "unclear"),
        ("FP8", "", "fp8"),
    ],
)
def test_compiled_layers_of_10_are_matched_by_their_metadata(
    joint: str, kind: str, tactic: str, precision: str
) -> None:
    layers = engine(compiled(["/a/Conv", "/a/Relu", "/b/Conv"], kind, tactic, joint))
    assert found(layers, "/a/Conv", "/b/Conv") == {precision: 1.0}


def test_a_compiled_layer_that_only_carries_the_name_proves_nothing() -> None:
    bias = compiled(["/a/Conv"], "Half", "__myl_CastMulAdd_0x12", name="__myl_CastMulAdd_myl0_1")
    assert found(engine(bias), "/a/Conv") == {"not found": 1.0}
    real = compiled(["/a/Conv"], "Float", TF32_KERNEL, name="__myl_Fprop_myl0_2")
    assert found(engine(bias, real), "/a/Conv") == {"tf32": 1.0}


def test_a_copy_or_constant_proves_nothing() -> None:
    constant = {"Name": "a", "LayerType": "Constant", "Inputs": [], "Outputs": [tensor("a", "Half")]}
    copy = reformat("relu + a", NHWC8) | {"TacticName": "convertTensor_kernel"}
    assert found(engine(copy, constant), "a") == {"not found": 1.0}


@pytest.mark.parametrize(
    "name", ["conv_10", "conv_1.weight", "x/conv_1", "conv_1/x", "xconv_1", "conv_1_2", "conv_1 copy"]
)
def test_a_name_that_only_looks_alike_does_not_match(name: str) -> None:
    assert found(engine(cask(name)), "conv_1") == {"not found": 1.0}
    assert found(engine(compiled([name], "Half", HALF_KERNEL)), "conv_1") == {"not found": 1.0}


@pytest.mark.parametrize(
    "name", ["conv_1", "a + conv_1", "conv_1 || conv_2", "conv_1_myl0_12", "w + conv_1 + relu [profile 1]"]
)
def test_fused_merged_and_numbered_names_match(name: str) -> None:
    assert found(engine(cask(name)), "conv_1") == {"fp16": 1.0}


def foreign(first: str, last: str, enters: str, leaves: str) -> dict[str, Any]:
    return {
        "Name": f"{{ForeignNode[{first}...{last}]}}",
        "LayerType": "Myelin",
        "Inputs": [tensor("x", enters)],
        "Outputs": [tensor("y", leaves)],
        "TacticValue": "0x0",
    }


def test_a_foreign_node_holds_what_lies_between_its_ends() -> None:
    names = ("a", "b", "c", "d", "e")
    layers = engine(cask("a"), foreign("weight + b", "d + relu", "Half", "Half"), in_fp32("c"))
    proof = prove_precision(layers, network(*names), "fp16", least=0.6)
    assert proof.elsewhere == {"c": "fp32", "e": "not found"}, "a layer of its own says more than the block"
    assert found(engine(foreign("b", "Transpose_5", "Half", "Half")), *names) == {"not found": 0.8, "fp16": 0.2}


def test_a_foreign_node_with_ends_of_two_types_proves_nothing() -> None:
    assert found(engine(foreign("a", "b", "Half", FLOAT)), "a", "b") == {"unclear": 1.0}


def test_every_profile_must_meet_it() -> None:
    both = engine(cask("a"), cask("a [profile 1]"))
    assert prove_precision(both, network("a"), "fp16").share == 1.0
    with pytest.raises(PrecisionNotMet, match=r"a \(100\.0%\): fp16 and fp32"):
        prove_precision(engine(cask("a"), in_fp32("a [profile 1]")), network("a"), "fp16")


def test_11_writes_format_and_data_type_apart() -> None:
    def apart(name: str) -> dict[str, Any]:
        return {"Name": name, "Format": "Channel major format where channel % 8 == 0", "Datatype": "Half"}

    layer = cask("a", tactic="", Inputs=[apart("x")], Outputs=[apart("y")])
    assert found(engine(layer, ends="I/O Tensors"), "a") == {"fp16": 1.0}


def test_control_characters_that_8_6_leaves_are_read() -> None:
    text = engine(compiled(["/a/Conv", "/b/Relu"], "Half", HALF_KERNEL)).replace("\\u001e", "\x1e")
    assert "\x1e" in text and found(text, "/a/Conv") == {"fp16": 1.0}


def test_names_alone_prove_nothing_and_are_still_listed() -> None:
    text = engine("conv_1 + relu_1", "conv_2")
    with pytest.raises(PrecisionNotMet, match="DETAILED"):
        prove_precision(text, network("conv_1"), "fp16")
    assert [(layer.name, layer.kind, layer.precision) for layer in layer_table(text)] == [
        ("conv_1 + relu_1", "", ""),
        ("conv_2", "", ""),
    ]


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", "null", '{"Layers": {}}', '{"Layers": [', "[" * 100_000])
def test_a_damaged_list_is_said_in_one_line(text: str) -> None:
    with pytest.raises(PrecisionNotMet) as error:
        prove_precision(text, network("a"), "fp16")
    assert "\n" not in str(error.value)


def test_an_empty_list_and_an_empty_network_prove_nothing() -> None:
    for text, convolutions in (
        (engine(), network("a")),
        (engine(cask("a")), []),
        (engine(cask("a")), [Convolution("a", 0)]),
    ):
        with pytest.raises(PrecisionNotMet):
            prove_precision(text, convolutions, "fp16")


def test_no_damage_ends_otherwise_than_in_our_error() -> None:
    rng = random.Random(3)
    odd = [None, 3, "", [], {}, [None], {"Type": 3}, "x" * 99, True]

    def damaged(value: Any) -> Any:
        if rng.random() < 0.1:
            return rng.choice(odd)
        if isinstance(value, dict):
            return {key: damaged(entry) for key, entry in value.items()}
        return [damaged(entry) for entry in value] if isinstance(value, list) else value

    whole = [cask("a"), compiled(["b"], "Half", HALF_KERNEL), reformat("a"), foreign("c", "d", "Half", "Half"), "e"]
    for _ in range(300):
        text = json.dumps({"Layers": damaged(whole)})
        try:
            proof = prove_precision(text, network(*"abcde"), "fp16", least=0.0)
        except PrecisionNotMet:
            continue
        assert sum(proof.found.values()) == pytest.approx(1.0)


def test_the_message_names_five_and_counts_the_rest() -> None:
    layers = engine(*(in_fp32(f"c{number}") for number in range(9)))
    convolutions = [Convolution(f"c{number}", float(number + 1)) for number in range(9)]
    convolutions += [Convolution(f"s{number}", 0.5, exempt="statistics") for number in range(7)]
    with pytest.raises(PrecisionNotMet) as error:
        prove_precision(layers, convolutions, "fp16")
    message = str(error.value)
    assert "c8 (20.0%): fp32, c7" in message and "c4 (11.1%): fp32 and 4 more" in message and "c3" not in message
    assert "; exempt: s0, s1, s2, s3, s4 and 2 more (statistics); " in message and "\n" not in message


def test_the_table_says_what_each_layer_is() -> None:
    layers = layer_table(engine(reformat("a"), cask("a + relu"), compiled(["b"], "Float", TF32_KERNEL), "c"))
    assert [layer.kind for layer in layers] == ["Reformat", "CaskConvolution", "kgen", ""]
    assert [layer.multiplies for layer in layers] == [False, True, True, False]
    assert layers[1].nodes == ("a", "relu") and layers[1].precision == "fp16" and layers[1].tactic == HALF_KERNEL
    assert layers[2].nodes == ("b",) and layers[2].precision == "tf32"
