"""Random vision-language models in folders of transformers: one of single pictures, one that is talked to."""

from pathlib import Path

SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "<image>"]
WORDS = [*SPECIAL, "a", "man", "dog", "walks", "runs", "fights", "sleeps", "in", "the", "street", "what", "happens"]
SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
SMALL |= {"initializer_range": 0.5}  # so large that what is seen changes what is said
VISION = {"image_size": 32, "patch_size": 16, "projection_dim": 8, **SMALL}
TALK = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<image> {% else %}{{ part.text }} {% endif %}{% endfor %}{% endfor %}"
)


def _tokenizer(ends: str = "$A"):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["<image>"])
    made.post_processor = processors.TemplateProcessing(single=ends, special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "bos_token": "[CLS]", "eos_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **names)


def write_blip(folder: Path, seed: int = 0) -> Path:
    """One picture in, a caption out."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    torch.manual_seed(seed)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2, "pad_token_id": 3}
    text = {"vocab_size": len(WORDS), "encoder_hidden_size": 8, "max_position_embeddings": 64, "projection_dim": 8}
    config = BlipConfig(text_config=text | ids | SMALL, vision_config=VISION)
    model = BlipForConditionalGeneration(config)
    model.text_decoder.cls.predictions.bias.data[:5] -= 1e6  # words alone
    model.save_pretrained(folder)
    words = _tokenizer("[CLS] $A [SEP]")
    BlipProcessor(BlipImageProcessorPil(size={"height": 32, "width": 32}), words).save_pretrained(folder)
    return folder


def write_llava(folder: Path) -> Path:
    """Any number of pictures and a question in, an answer out."""
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(0)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    text = LlamaConfig(vocab_size=len(WORDS), max_position_embeddings=256, **ids, **SMALL)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION), text_config=text, image_token_index=4, vision_feature_layer=-1
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        pictures, _tokenizer(), patch_size=16, vision_feature_select_strategy="default", chat_template=TALK,
        image_token="<image>", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder
