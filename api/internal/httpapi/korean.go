package httpapi

import (
	"regexp"
	"strings"
)

// phrase is what a field error or a refused token says in English, and the same in Korean.
type phrase struct {
	english *regexp.Regexp
	korean  string
}

// phrases are compiled once: a wrong request should not cost more than a right one.
var phrases = map[string][]phrase{"value": phrasesOfValues(), "request": phrasesOfRequests()}

// inKorean says a detail in Korean, for detail_ko; one that it does not know stays as it is. Names, numbers and allowed values
// stay as they are in the document. A test reads the sources for details that are missing here.
func inKorean(detail string) string {
	for _, list := range []string{"value", "request"} {
		for _, p := range phrases[list] {
			if p.english.MatchString(detail) {
				return p.english.ReplaceAllString(detail, p.korean)
			}
		}
	}
	return detail
}

// tokenInKorean translates a refusal of package auth, which names the claim before a colon.
func tokenInKorean(detail string) string {
	name, rest, ok := strings.Cut(detail, ": ")
	if !ok {
		return detail
	}
	return name + ": " + inKorean(rest)
}

func say(english, korean string) phrase {
	return phrase{regexp.MustCompile("^" + english + "$"), korean}
}

func phrasesOfValues() []phrase {
	return []phrase{
		say(`must have 1 to (\d+) characters and no control characters`, "1~${1}자여야 하며 제어 문자를 쓸 수 없습니다"),
		say(`must have 1 to (\d+) characters`, "1~${1}자여야 합니다"),
		say(`must have 1 to (\d+) characters of (.+) for a coupon of which a user may have (\d+)`,
			"한 사람이 ${3}장까지 받을 수 있는 쿠폰이므로 ${2} 중 1~${1}자여야 합니다"),
		say(`must have 1 to (\d+) characters of (.+)`, "${2} 중 1~${1}자여야 합니다"),
		say(`has no form that a gate takes`, "받아들일 수 없는 형식입니다"),
		say(`is needed where the per-user limit is above 1`, "1인당 한도가 2 이상인 쿠폰에는 필수입니다"),
		say(`this event has its (\d+) coupons`, "이 이벤트에는 이미 쿠폰이 ${1}개 있습니다"),
		say(`must be a user id of 1 to (\d+) characters (\S+)`, "${2} 중 1~${1}자의 사용자 ID여야 합니다"),
		say(`must be an id from 1 to (\d+)`, "1~${1} 범위의 ID여야 합니다"),
		say(`must be ("\S+") or ("\S+"), together with discount_value`, "${1} 또는 ${2}이어야 하며 discount_value와 함께 보내야 합니다"),
		say(`must be ("\S+") or ("\S+")`, "${1} 또는 ${2}이어야 합니다"),
		say(`must be ("\S+"), ("\S+") or ("\S+")`, "${1}, ${2}, ${3} 중 하나여야 합니다"),
		say(`must be from (\d+) to (\d+), or null for unlimited`, "${1}~${2} 범위이거나, 무제한이면 null이어야 합니다"),
		say(`must be from (\d+) to (\d+) minor units`, "최소 화폐 단위로 ${1}~${2} 범위여야 합니다"),
		say(`must be from (\d+) to (\d+) percent`, "${1}~${2} 퍼센트여야 합니다"),
		say(`must be from (\d+) to (\d+)`, "${1}~${2} 범위여야 합니다"),
		say(`must be 1 for a first_come_issue coupon of an event`, "이벤트에 속한 first_come_issue 쿠폰은 1이어야 합니다"),
		say(`must be a time between the years 2000 and 9999`, "2000년에서 9999년 사이의 시각이어야 합니다"),
		say(`must be later than (\S+)`, "${1}보다 나중이어야 합니다"),
		say(`must be a time by RFC 3339, such as (\S+)`, "RFC 3339 형식의 시각이어야 합니다 (예: ${1})"),
		say(`must be true or false`, "true 또는 false여야 합니다"),
		say(`must be text`, "문자열이어야 합니다"),
		say(`must be a whole number of at most 64 bits, without fraction or exponent`, "소수점이나 지수가 없는 64비트 이내의 정수여야 합니다"),
		say(`must be a whole number from 1 to (\d+), in digits without sign or leading zeros`,
			"부호와 앞자리 0이 없는 1~${1} 범위의 정수여야 합니다"),
		say(`must be a whole number from 1 to (\d+)`, "1~${1} 범위의 정수여야 합니다"),
		say(`must be one of \[(.+)\]`, "다음 중 하나여야 합니다: ${1}"),
		say(`must not be null`, "null일 수 없습니다"),
		say(`must not be zero or empty; leave it out for none`, "0이나 빈 값일 수 없습니다. 없으면 필드를 빼세요"),
		say(`must be valid Unicode`, "올바른 유니코드여야 합니다"),
	}
}

func phrasesOfRequests() []phrase {
	return []phrase{
		say(`is needed`, "필수입니다"),
		say(`is no field of this request`, "이 요청에 없는 필드입니다"),
		say(`is no parameter of this path`, "이 경로에 없는 매개변수입니다"),
		say(`is there twice`, "두 번 있습니다"),
		say(`is not well-formed`, "형식이 올바르지 않습니다"),
		say(`must be the next_cursor of a page of this list, unchanged`, "이 목록의 next_cursor 값을 그대로 보내야 합니다"),
		say(`must have at least one of (.+) and (\S+)`, "${1}, ${2} 중 하나 이상이 있어야 합니다"),
		say(`must be one JSON object; it is empty`, "JSON 객체 하나여야 하는데 비어 있습니다"),
		say(`must be one JSON object`, "JSON 객체 하나여야 합니다"),
		say(`must end after the JSON object`, "JSON 객체 뒤에 다른 내용이 있으면 안 됩니다"),
		say(`must be UTF-8`, "UTF-8이어야 합니다"),
		say(`must not be nested more than (\d+) deep`, "중첩은 ${1}단계까지 허용됩니다"),
		say(`must have at most (\d+) fields`, "필드는 ${1}개까지 허용됩니다"),
		say(`could not be read to its end`, "끝까지 읽을 수 없었습니다"),
		say(`is not JSON, at the value of (.+)`, "${1} 값이 JSON이 아닙니다"),
		say(`is not JSON`, "JSON이 아닙니다"),
		say(`must have at most (\d+) bytes`, "${1}바이트 이하여야 합니다"),
		say(`must be (\S+(?:, \S+)*)`, "${1}이어야 합니다"),
		say(`is not a JWT with the claims sub, exp and roles \(a list\)`, "sub, exp, roles(목록) 클레임이 있는 JWT가 아닙니다"),
		say(`is not a JWT`, "JWT가 아닙니다"),
		say(`is not of the key that is trusted here`, "신뢰하는 키로 서명되지 않았습니다"),
		say(`the token has expired`, "토큰이 만료되었습니다"),
		say(`the token is not valid yet`, "아직 유효하지 않은 토큰입니다"),
		say(`is not valid`, "유효하지 않습니다"),
	}
}
