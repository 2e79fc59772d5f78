"""Generates tokens with a small model of random weights in the real vLLM on this CPU, and prints them.

    run.py llama|mixtral|qwen3|neox|deepseek|deepseek-v3 [--plain-rotary] [--eager] [--tensor-parallel N] [--json]

--json prints one line with the tokens and their log-probabilities instead.
--plain-rotary puts a plain PyTorch kernel in the place of vLLM's rotary embedding, which of a query or key of 3 dimensions
takes the wrong stride (docs/vllm.md)."""
import argparse
import json
import os
import random
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_NO_USAGE_STATS="1",
                  VLLM_DISABLE_COMPILE_CACHE="1", TORCHINDUCTOR_FORCE_DISABLE_CACHES="1", VLLM_LOGGING_LEVEL="ERROR")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

COMMON = {"vocab_size": 320, "hidden_size": 192, "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 3,
          "max_position_embeddings": 256, "rope_theta": 10000.0, "rms_norm_eps": 1e-6, "hidden_act": "silu",
          "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
DEEPSEEK = COMMON | {
    "num_key_value_heads": 3, "kv_lora_rank": 512, "q_lora_rank": None, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
    "v_head_dim": 128, "first_k_dense_replace": 2, "moe_layer_freq": 1, "moe_intermediate_size": 64, "n_routed_experts": 2,
    "n_shared_experts": 1, "num_experts_per_tok": 1, "routed_scaling_factor": 1.0, "norm_topk_prob": False,
    "scoring_func": "softmax", "topk_method": "greedy", "n_group": 1, "topk_group": 1}
MODELS = {
    "llama": COMMON | {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_key_value_heads": 1, "head_dim": 64},
    "mixtral": COMMON | {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "hidden_size": 256,
                         "num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3": COMMON | {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_key_value_heads": 1, "head_dim": 64},
    "neox": COMMON | {"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "hidden_act": "gelu", "rotary_pct": 0.25,
                      "layer_norm_eps": 1e-5, "use_parallel_residual": True},
    "deepseek": DEEPSEEK | {"architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2"},
    "deepseek-v3": DEEPSEEK | {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "q_lora_rank": 192,
                               "scoring_func": "sigmoid", "topk_method": "noaux_tc"},
}


def checkpoint(config, folder, weights=True):
    """Random weights large enough that a wrong value anywhere changes the tokens."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    path = os.path.join(folder, "config.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    if not weights:
        return
    made = AutoConfig.from_pretrained(folder)
    made.initializer_range = 1.6 / config["hidden_size"] ** 0.5
    torch.manual_seed(3)
    AutoModelForCausalLM.from_config(made, dtype=torch.bfloat16).save_pretrained(folder)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


def use_plain_rotary():
    import torch
    import vllm._custom_ops  # noqa: F401
    from vllm.platforms import current_platform
    current_platform.import_kernels()

    def rotary_embedding(positions, query, key, head_size, cos_sin_cache, is_neox, rope_dim_offset=0, inverse=False):
        cos, sin = cos_sin_cache[positions.flatten()].float()[:, None].chunk(2, -1)
        sin = -sin if inverse else sin
        for tensor in filter(lambda tensor: tensor is not None, (query, key)):
            heads = tensor.unflatten(-1, (-1, head_size)) if tensor.dim() == 2 else tensor
            rotated = heads[..., rope_dim_offset:rope_dim_offset + 2 * cos.shape[-1]]
            pairs = rotated.float().unflatten(-1, (2, -1) if is_neox else (-1, 2))
            axis = -2 if is_neox else -1
            a, b = pairs.unbind(axis)
            rotated.copy_(torch.stack((a * cos - b * sin, b * cos + a * sin), axis).flatten(-2))

    use_plain_rotary.library = torch.library.Library("_C", "IMPL")
    use_plain_rotary.library.impl("rotary_embedding", rotary_embedding, "CPU", allow_override=True)


def show(answers, as_json):
    """The tokens of a prompt a line, or all with their log-probabilities as JSON."""
    outputs = [answer.outputs[0] for answer in answers]
    if as_json:
        chosen = [[step[token].logprob for token, step in zip(output.token_ids, output.logprobs)] for output in outputs]
        print(json.dumps({"tokens": [list(output.token_ids) for output in outputs], "logprobs": chosen}))
        return
    for output in outputs:
        print(*output.token_ids)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--plain-rotary", action="store_true")
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--tensor-parallel", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.plain_rotary:
        use_plain_rotary()
    from vllm import LLM, SamplingParams
    with tempfile.TemporaryDirectory() as folder:
        checkpoint(MODELS[options.model], folder)
        engine = LLM(model=folder, skip_tokenizer_init=True, max_model_len=128, max_num_seqs=4, dtype="bfloat16",
                     enable_prefix_caching=False, enforce_eager=options.eager, tensor_parallel_size=options.tensor_parallel,
                     compilation_config={"custom_ops": ["all"]})
        numbers = random.Random(5)
        prompts = [{"prompt_token_ids": [numbers.randrange(3, 300) for _ in range(24)]} for _ in range(3)]
        sampling = SamplingParams(max_tokens=8, temperature=0, detokenize=False, ignore_eos=True, logprobs=0)
        show(engine.generate(prompts, sampling, use_tqdm=False), options.json)


if __name__ == "__main__":
    main()
