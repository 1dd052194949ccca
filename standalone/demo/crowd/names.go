package crowd

import "fmt"

func vendorNames() []string {
	return []string{
		"Hanok Bakery 한옥베이커리", "Seoul Roasters 서울로스터스", "Mapo Noodles 마포국수", "Jeju Citrus 제주감귤",
		"Busan Fish Market 부산어시장", "Namsan Books 남산책방", "Hongdae Records 홍대레코드", "Bukchon Tea 북촌다원",
		"Gangnam Cinema 강남시네마", "Itaewon Burgers", "Dongdaemun Denim 동대문데님", "Han River Bikes 한강자전거",
	}
}

type good struct{ english, korean string }

// goods are what the vendors sell.
var goods = []good{
	{"cold brew", "콜드브루"},
	{"salt bread", "소금빵"},
	{"kalguksu", "칼국수"},
	{"tangerine box", "귤 한 상자"},
	{"mackerel", "고등어"},
	{"paperbacks", "문고본"},
	{"vinyl", "LP"},
	{"green tea", "녹차"},
	{"movie night", "심야영화"},
	{"cheeseburger", "치즈버거"},
	{"jeans", "청바지"},
	{"bike rental", "자전거 대여"},
	{"fried chicken", "치킨"},
	{"tteokbokki", "떡볶이"},
	{"macarons", "마카롱"},
	{"bingsu", "빙수"},
}

// The users' names.
var (
	givenNames = []string{
		"minji", "jiwoo", "seojun", "haeun", "doyun", "jihoon", "yuna", "sumin", "hyunwoo", "eunji",
		"taeyang", "soyeon", "kai", "mina", "jaemin", "ara", "bora", "dongmin", "nari", "woojin",
	}
	familyNames = []string{"kim", "lee", "park", "choi", "jung", "kang", "cho", "yoon", "jang", "lim", "han", "oh", "seo", "shin", "kwon"}
)

func eventName(i int) string {
	kinds := []string{"Opening week 오픈위크", "Chuseok 추석", "Black Friday", "Cherry blossom 벚꽃", "First snow 첫눈"}
	if i < len(kinds) {
		return kinds[i]
	}
	return fmt.Sprintf("%s %d", kinds[i%len(kinds)], i/len(kinds)+1)
}
