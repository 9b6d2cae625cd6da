"""How automatic replies name themselves, by language. Weak evidence: a person may write any of it.

Subjects are compared at their beginning, after brackets; bodies only say that a machine answered. Neither stands alone.
"""

from __future__ import annotations

# fmt: off
SUBJECTS: tuple[str, ...] = (
    # English
    "automatic reply", "automated reply", "automatic response", "automated response", "auto:", "auto reply", "auto-reply",
    "autoreply", "auto response", "auto-response", "autoresponse", "auto responder", "autoresponder", "out of office",
    "out of the office", "out-of-office", "ooo:", "i am out of the office", "i'm out of the office", "away from my mail",
    "away from the office", "on vacation", "vacation reply", "vacation notice", "holiday reply", "annual leave",
    "on leave", "automatic notification", "we have received your", "thank you for your e", "thank you for contacting",
    # German
    "automatische antwort", "automatische rückantwort", "automatische abwesenheit", "abwesenheitsnotiz",
    "abwesenheitsmeldung", "abwesenheitsassistent", "abwesenheit", "abwesend", "außer haus", "nicht im büro",
    "urlaubsnachricht", "im urlaub", "auto-antwort", "autom. antwort", "eingangsbestätigung",
    # Dutch, Afrikaans
    "automatisch antwoord", "automatische beantwoording", "automatisch bericht", "afwezigheid", "afwezig",
    "niet aanwezig", "met vakantie", "outomatiese antwoord",
    # French
    "réponse automatique", "reponse automatique", "message automatique", "absence du bureau", "absent du bureau", "absence",
    "en congé", "notification d'absence",
    # Spanish, Catalan, Galician, Basque
    "respuesta automática", "respuesta automatica", "contestación automática", "fuera de la oficina", "fuera de oficina",
    "ausente de la oficina", "autorespuesta", "resposta automàtica", "fora de l'oficina", "erantzun automatikoa",
    # Portuguese
    "resposta automática", "resposta automatica", "ausência temporária", "ausência do escritório", "fora do escritório",
    "ausente do escritório", "de férias",
    # Italian, Romanian
    "risposta automatica", "fuori sede", "fuori ufficio", "assente dall'ufficio", "assenza dall'ufficio", "assenza",
    "răspuns automat", "raspuns automat", "în afara biroului",
    # Danish, Norwegian, Swedish, Finnish, Icelandic
    "autosvar", "automatisk svar", "automatiskt svar", "ikke til stede", "fraværende", "fravær", "frånvaro",
    "frånvaromeddelande", "ikke på kontoret", "ej på kontoret", "semester", "automaattinen vastaus", "poissaoloviesti",
    "poissa toimistosta", "sjálfvirkt svar",
    # Polish, Czech, Slovak, Slovenian, Croatian, Serbian
    "automatyczna odpowiedź", "odpowiedź automatyczna", "autoodpowiedź", "poza biurem", "nieobecność",
    "automatická odpověď", "mimo kancelář", "nepřítomnost", "automatická odpoveď", "neprítomnosť", "samodejni odgovor",
    "automatski odgovor", "automatski odgovor:", "odsutan", "аутоматски одговор",
    # Hungarian, Estonian, Latvian, Lithuanian, Turkish, Greek
    "automatikus válasz", "házon kívül", "távollét", "automaatvastus", "automātiskā atbilde", "automatinis atsakymas",
    "otomatik yanıt", "otomatik cevap", "ofis dışında", "αυτόματη απάντηση", "εκτός γραφείου",
    # Russian, Ukrainian, Bulgarian
    "автоответ", "автоматический ответ", "автоматическое уведомление", "нет на рабочем месте", "вне офиса",
    "автоматична відповідь", "автовідповідь", "автоматичен отговор", "извън офиса",
    # Hebrew, Arabic, Persian
    "תשובה אוטומטית", "מענה אוטומטי", "رد تلقائي", "الرد التلقائي", "پاسخ خودکار",
    # Chinese, Japanese, Korean, Vietnamese, Thai, Indonesian, Hindi
    "自动回复", "自動回覆", "自动答复", "自動回應", "外出", "不在办公室", "不在辦公室", "自動返信", "自動応答", "不在通知",
    "休暇", "자동 회신", "자동 응답", "자동회신", "부재중", "trả lời tự động", "ตอบกลับอัตโนมัติ", "การตอบกลับอัตโนมัติ",
    "balasan otomatis", "balasan automatik", "स्वचालित उत्तर",
)

BODIES: tuple[str, ...] = (
    "this is an automated response", "this is an automated reply", "this is an automated message",
    "this is an automatic reply", "this is an automatic response", "this is an auto-generated", "this is an autoreply",
    "this message was automatically generated", "this message was generated automatically", "automatically generated reply",
    "automatically generated response", "only notification you will receive while", "auto-responder", "autoresponder",
    "automatisch generierte", "automatisch erstellte", "automatisch erzeugte", "dies ist eine automatische",
    "ceci est une réponse automatique", "ceci est un message automatique", "réponse générée automatiquement",
    "esta es una respuesta automática", "este es un mensaje automático", "mensaje generado automáticamente",
    "esta é uma resposta automática", "esta é uma mensagem automática", "questa è una risposta automatica",
    "messaggio generato automaticamente", "risposta generata automaticamente", "dit is een automatisch",
    "automatisch gegenereerd", "detta är ett automatiskt", "dette er et automatisk", "tämä on automaattinen",
    "to jest automatyczna", "wiadomość wygenerowana automatycznie", "toto je automatická", "ez egy automatikus",
    "bu otomatik", "это автоматический", "это автоматическое", "это сообщение создано автоматически",
    "це автоматична", "这是自动回复", "此邮件为自动", "这是一封自动", "這是自動", "自動返信", "自動送信", "자동 응답", "자동으로 발송",
)
# fmt: on
